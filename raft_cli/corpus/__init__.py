"""From files to chunks, and search over chunks. Knows nothing of models or datasets."""
