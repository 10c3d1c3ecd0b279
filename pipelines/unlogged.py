"""The decorator of pipelines that look at the world as it is: nothing of them is cached or logged.

ZenML's log handler starts a thread when the process ends, which Python 3.12 refuses aloud.
"""

from __future__ import annotations

from functools import partial

from zenml import pipeline
from zenml.enums import ExecutionMode

unlogged = partial(
    pipeline,
    execution_mode=ExecutionMode.FAIL_FAST,
    enable_cache=False,
    enable_step_logs=False,
    enable_pipeline_logs=False,
)
