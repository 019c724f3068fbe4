"""What stands in examples in place of a secret, copied as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config.platform_reading import is_placeholder
from common.config.reading import read_gateway

PLACEHOLDERS = """\
YOUR_ACCESS_TOKEN … ... <token> <YOUR-TOKEN> your-access-token ACCESS_TOKEN token xxxx PUT_YOUR_TOKEN_HERE
$ACCESS_TOKEN ${TB_TOKEN} {{token}} [token] ******** changeme"""


@pytest.mark.parametrize("token", PLACEHOLDERS.split())
def test_a_placeholder_is_told_from_a_token(token: str, tmp_path: Path) -> None:
    """From the environment as from the file; and what stands there is never shown."""
    assert is_placeholder(token)
    (tmp_path / "c.json").write_text('{"name": "x", "devices": [{}]}')
    warnings = read_gateway(tmp_path / "c.json", {"TB_GW_ACCESS_TOKEN": token}).warnings
    (said,) = [warning for warning in warnings if "still the placeholder" in warning]
    assert "TB_GW_ACCESS_TOKEN" in said


@pytest.mark.parametrize(
    "token", ["A1_TEST_TOKEN", "8gE1tpRTA4WbxgUcJKLk", "hidden", "secret-token-1", "tokenizer", "x1"]
)
def test_a_token_is_taken_for_one(token: str) -> None:
    """Whoever sets up a platform may choose it, too."""
    assert not is_placeholder(token)
