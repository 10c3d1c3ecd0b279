"""MLflow follows the registry, as ZenML does: candidates as runs, versions as registered models."""
