"""An interrupt ends the process, wherever the main thread is when it comes."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.interrupts import SENTENCE

ROOT = Path(__file__).parents[2]
HEAD = """
import os, signal, threading, time
from pipelines import interrupts
interrupts.PATIENCE_S = {patience}
interrupts.end_for_sure()
me = os.getpid()
"""
STUCK = """
try:
    os.kill(me, signal.{name})
    time.sleep(30)
except KeyboardInterrupt:
    pass
lock = threading.Lock()
lock.acquire()
{more}
lock.acquire()
"""
LOST = """
class Noisy:
    def __del__(self):
        os.kill(me, signal.SIGINT)

noisy = Noisy()
del noisy
time.sleep(30)
"""
HEARD = """
import sys
try:
    os.kill(me, signal.SIGTERM)
    time.sleep(30)
except KeyboardInterrupt:
    sys.exit(5)
"""
AGAIN = "os.kill(me, signal.SIGINT)"


def ended(body: str, patience: float, **words: str) -> tuple[int, str]:
    """Exit code and stderr of a process that is told to end; it has ten seconds."""
    code = HEAD + body
    command = [sys.executable, "-c", code.format(patience=patience, **words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_what_hangs_after_an_interrupt_is_ended(name):
    assert ended(STUCK, 0.5, name=name, more="") == (2, f"bentoline: {SENTENCE}\n")


def test_who_asks_twice_does_not_wait():
    again = f"try:\n    {AGAIN}\n    time.sleep(30)\nexcept KeyboardInterrupt:\n    pass"
    assert ended(STUCK, 60, name="SIGINT", more=again) == (2, f"bentoline: {SENTENCE}\n")


def test_an_interrupt_that_python_would_lose_ends_the_process():
    assert ended(LOST, 60) == (2, f"bentoline: {SENTENCE}\n")


def test_what_ends_by_itself_keeps_its_exit_code():
    assert ended(HEARD, 60) == (5, "")
