"""Certificates for tests: an authority, and what it signs for servers and gateways."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
"""Made in a moment, which an RSA key is not."""
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


class Authority:
    """Signs certificates in a folder; its own is `NAME.pem`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._run(f"req -x509 {KEY} -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem")

    def sign(self, name: str, *, days: int = 2, names: str = "DNS:localhost") -> None:
        """Makes `NAME.pem` with `NAME.key`; one that has expired where `days` are none."""
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self._run(f"req {KEY} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr")
        self._run(
            f"x509 -req -in {name}.csr -CA {self._name}.pem -CAkey {self._name}.key -CAcreateserial -days {days} "
            f"-extfile {name}.ext -out {name}.pem"
        )

    def _run(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True, cwd=self._folder)
