"""Boosted trees answered by tables of words, beside the graph that they come from."""
