"""The leak audit: what would make a score look too good."""
