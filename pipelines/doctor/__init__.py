"""`run.py --doctor`: every part that a command may need, looked at for real, and what to mend."""
