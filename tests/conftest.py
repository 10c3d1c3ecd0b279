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
    """Let warnings be heard: ZenML, once a test has trained, leaves all loggers at CRITICAL."""
    logging.getLogger().setLevel(logging.WARNING)
