"""Short and whole: `ATTACKS=full` runs also what takes long (`make attacks`)."""

from __future__ import annotations

import os

FULL = os.environ.get("ATTACKS") == "full"
