"""The gateway as a user runs it, on lines that talk, while everything around and inside it is hurt at random."""
