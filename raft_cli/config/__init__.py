"""Settings of each command: every default once, every range checked once."""
