"""What an unknown device seems to say: settings of the line, ends of frames, and which known device it may be."""
