"""Where a capture comes from: a port that is opened for it, or the running gateway."""
