"""A run that is told to end does end, within seconds.

Python raises KeyboardInterrupt wherever the main thread happens to be. In a weakref's callback it
is printed and lost; in a commit to ZenML's database it can leave a lock behind, for which the
writing down of the failed run then waits for ever: each was seen in one of thirty runs. A run that
is killed at any moment leaves nothing half done (tests/faults/test_dying_runs.py), so a thread ends
what does not end by itself.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from typing import Any

SENTENCE = "interrupted; nothing was left half done. Run it again."
EXIT_CODE = 2
# What is orderly takes two seconds.
PATIENCE_S = 20.0
_ENDING = (signal.SIGINT, signal.SIGTERM)


def end_for_sure() -> None:
    """Let SIGTERM do what Ctrl-C does, and end the process where neither is heard.

    To be called once, from the main thread. A shell's background job stays deaf to Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    sys.unraisablehook = _unraisable
    threading.Thread(target=_watch, args=(reading,), name="interrupts", daemon=True).start()


def _watch(reading: int) -> None:
    while os.read(reading, 1)[0] not in _ENDING:
        pass
    # Who asks twice does not wait.
    select.select([reading], [], [], PATIENCE_S)
    _end()


def _unraisable(lost: Any) -> None:
    if issubclass(lost.exc_type, KeyboardInterrupt):
        _end()
    sys.__unraisablehook__(lost)


def _end() -> None:
    os.write(sys.__stderr__.fileno(), f"bentoline: {SENTENCE}\n".encode())  # no lock of Python's
    os._exit(EXIT_CODE)
