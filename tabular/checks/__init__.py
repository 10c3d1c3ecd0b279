"""A table against its contract, batch by batch."""
