"""MongoDB: reading a collection whole, and filling one."""
