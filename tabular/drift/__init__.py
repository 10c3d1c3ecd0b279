"""Answered rows held against training rows: what moved, whether it hurts, what is due."""
