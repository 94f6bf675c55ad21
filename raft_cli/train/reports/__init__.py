"""A run described for people: card, report, summary."""
