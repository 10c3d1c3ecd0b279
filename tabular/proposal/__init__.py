"""From a table that nobody has described to a problem's YAML: what `--init` proposes, and why."""
