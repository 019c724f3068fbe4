"""What people with serial devices ran into, one file a subject."""
