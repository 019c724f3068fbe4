"""What says nothing at either end of a value. Pure, and small: port readers load it."""

from __future__ import annotations

from typing import Final

BLANKS: Final = (
    " \t\n\r\v\f\0\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""All white space of Unicode, NUL, and the byte order mark."""
BLANK_BYTES: Final = bytes(ord(blank) for blank in BLANKS if blank.isascii())
"""Those that are one byte in every encoding: where only they stand, a frame says nothing."""
