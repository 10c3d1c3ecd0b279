"""What a step's container of this machine runs: ZenML's entrypoint on a trimmed ZenML."""

from __future__ import annotations

from zenml.entrypoints.step_entrypoint_configuration import StepEntrypointConfiguration

from pipelines.store import open_client


class StepEntrypoint(StepEntrypointConfiguration):
    """ZenML's own, after `open_client` has left out the integrations that no stack names."""

    def run(self) -> None:
        """Run the step that the arguments name."""
        open_client()
        super().run()
