"""Short names of long things."""

from __future__ import annotations

# As `random` of the standard library does, without `hashlib`, which loads all of OpenSSL: 3.6 MB in each process.
try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from hashlib import sha256


def short_hash(data: bytes, digits: int) -> str:
    """The first hexadecimal digits of the data's SHA-256."""
    return str(sha256(data).hexdigest()[:digits])
