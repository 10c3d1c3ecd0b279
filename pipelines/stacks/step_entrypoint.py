"""What a step's container of this machine runs: ZenML's entrypoint on a trimmed ZenML."""

from __future__ import annotations

from zenml.entrypoints.step_entrypoint_configuration import StepEntrypointConfiguration

from pipelines.allocations import PER_LOOK
from pipelines.store import open_client

# `python -m`, whose module ZenML asks for, with a word to the collector first.
START = (
    f"import gc, runpy; gc.set_threshold({PER_LOOK}); "
    "runpy.run_module('zenml.entrypoints.entrypoint', run_name='__main__', alter_sys=True)"
)


class StepEntrypoint(StepEntrypointConfiguration):
    """ZenML's own, after `open_client` has left out the integrations that no stack names."""

    @classmethod
    def get_entrypoint_command(cls) -> list[str]:
        """ZenML's command, which looks for garbage as seldom as `run.py` does."""
        return ["python", "-c", START]

    def run(self) -> None:
        """Run the step that the arguments name."""
        open_client()
        super().run()
