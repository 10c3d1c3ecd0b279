"""Where a registry lies: a folder or S3, with conditional writes."""
