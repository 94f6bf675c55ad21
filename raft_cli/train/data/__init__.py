"""Files of several formats to rows, rows that fit, micro-batches on disk."""
