"""What was answered, row by row, and what turned out to be true (docs/adr/0018)."""
