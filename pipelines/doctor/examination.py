"""Checks side by side, each bounded in time; what is wrong first comes first."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tabular.errors import BentolineError

# `wrong` stops a command, `note` is good to know.
State = Literal["good", "note", "wrong"]
# Ten seconds in all, with what starting takes.
LIMIT_S = 8.0


@dataclass(frozen=True)
class Finding:
    """What a check saw: one sentence, with the fix where something is wrong."""

    part: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Check:
    """One part, and how it is looked at: returns words about it where it is good.

    Raising a `BentolineError` says what is wrong. A check that others rest on stands before them.
    """

    part: str
    look: Callable[[], str]
    severity: Literal["note", "wrong"] = "wrong"


def examine(checks: Sequence[Check], limit_s: float = LIMIT_S) -> list[Finding]:
    """Run every check at once, and give the findings in the checks' order.

    A check that has no answer within the limit is itself a finding; its thread is left behind.
    """
    ends = time.monotonic() + limit_s
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(checks)))
    asked = [(check, pool.submit(check.look)) for check in checks]
    found = [_finding(check, answer, ends, limit_s) for check, answer in asked]
    pool.shutdown(wait=False, cancel_futures=True)
    return found


def _finding(
    check: Check, answer: concurrent.futures.Future[str], ends: float, limit_s: float
) -> Finding:
    try:
        return Finding(check.part, "good", answer.result(max(0.0, ends - time.monotonic())))
    except concurrent.futures.TimeoutError:
        sentence = f"no answer within {limit_s:.0f} s; check the network, a proxy or a firewall."
    except BentolineError as error:
        sentence = str(error)
    except Exception as error:  # noqa: BLE001  # one broken check must not hide the others
        reason = (str(error).splitlines() or [""])[0][:200]
        sentence = f"{type(error).__name__}: {reason}; nobody foresaw this, please report it."
    return Finding(check.part, check.severity, sentence)
