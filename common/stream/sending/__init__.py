"""The way to one publisher: what is ready, what is in flight, what goes again, and when nobody is there."""
