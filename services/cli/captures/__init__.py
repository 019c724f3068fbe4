"""A line that was recorded: its file, how it is recorded, and how it is played again."""
