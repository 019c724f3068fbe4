"""A connector that users wrote, hosted in a process of its own."""
