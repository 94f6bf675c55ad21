"""Models that answer messages: endpoints, the embedded teacher, local weights; pace and journal."""
