"""What the journal holds: its limits, its outages, its upkeep, and what it has lost."""
