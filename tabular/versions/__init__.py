"""What a registry is made of: whole bundles, and the moves of its aliases."""
