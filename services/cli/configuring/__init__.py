"""Changes of the user's files: what `serialgw config` does, for a person and for the page."""
