"""How often Python looks for garbage: imports allocate what stays."""

# Allocations between two looks. At Python's 700 they are 7 % of a run's CPU.
PER_LOOK = 50_000
