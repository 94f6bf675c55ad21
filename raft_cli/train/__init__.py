"""The dataset becomes a tuned student."""
