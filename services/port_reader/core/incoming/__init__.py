"""The incoming side of a line: bytes in, frames and dead pieces out. Pure."""
