"""One serial port: reads, frames, numbers, journals and sends, and writes what calls ask for."""
