"""Tables in files: read in batches, hashed, profiled."""
