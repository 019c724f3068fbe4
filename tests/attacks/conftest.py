"""Short and whole: `ATTACKS=full` runs also what takes long (`make attacks`)."""

from __future__ import annotations

import os

import pytest

FULL = os.environ.get("ATTACKS") == "full"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `whole` are no part of the short form."""
    left_out = [item for item in items if not FULL and item.get_closest_marker("whole") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
