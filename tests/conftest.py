"""What holds for every test, wherever it is started from."""

from __future__ import annotations

import logging
import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let children hear the interrupt that a test sends: a shell's background job is deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def audible() -> None:
    """Undo what ZenML leaves behind once a test has trained in this process.

    It mutes all loggers (CRITICAL), and its console handler writes to the captured stream of
    the test that imported it, which is closed by now.
    """
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in list(root.handlers):
        if type(handler).__module__.startswith("zenml."):
            root.removeHandler(handler)
