"""ZenML stacks by name: what `configs/stacks/` says, registered, and examined by `--doctor`."""
