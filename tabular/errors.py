"""The error tree. Every error a user can meet is one of these, and its message is one sentence.

BentolineError           exit code 2
|-- ConfigError          the YAML, a flag or an environment variable is wrong
|-- DataError            the table breaks what the problem promises
|   `-- RecordsError     records break the contract; which row and column, and what is allowed
|-- LeakError            exit code 1: the leak audit refuses the table
|-- ExportError          a candidate cannot become an ONNX graph that answers as it does
|-- BundleError          a bundle is incomplete, changed, or of another format
|-- StoreError           a disk, folder or service that holds our files does not work
`-- RefusedError         a gate refuses what was asked; exit code 1
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tabular.contract import Violation

MAX_NAMES = 5


class BentolineError(Exception):
    """An error with a sentence for the user: where, what came, what is allowed, the fix."""

    exit_code = 2
    facts: Mapping[str, object] = MappingProxyType({})  # goes into the report, beside the sentence


class ConfigError(BentolineError):
    """The YAML, a flag or an environment variable is wrong."""


class DataError(BentolineError):
    """The table breaks what the problem promises."""


class RecordsError(DataError):
    """Records break the contract; `violations` has all of them, by row."""

    def __init__(self, sentence: str, violations: Sequence[Violation]) -> None:
        super().__init__(sentence)
        self.violations = violations


class LeakError(BentolineError):
    """The table tells the answer: the leak audit refuses it as a gate refuses a model."""

    exit_code = 1

    def __init__(self, sentence: str, leaks: Mapping[str, object]) -> None:
        super().__init__(sentence)
        self.facts = {"leaks": leaks, "verdict": {"accepted": False, "sentence": sentence}}


class ExportError(BentolineError):
    """A candidate cannot become an ONNX graph that answers as it does."""


class BundleError(BentolineError):
    """A bundle is incomplete, changed, or of another format."""


class StoreError(BentolineError):
    """A disk, folder or service that holds our files does not work."""


class RefusedError(BentolineError):
    """A gate refuses what was asked."""

    exit_code = 1


def listed(names: Iterable[object]) -> str:
    """Write at most five names, then how many more there are: `['a', 'b'] + 12 more`."""
    names = list(names)
    shown = "[" + ", ".join(repr(name) for name in names[:MAX_NAMES]) + "]"
    return shown if len(names) <= MAX_NAMES else f"{shown} + {len(names) - MAX_NAMES} more"


def did_you_mean(name: str, allowed: Sequence[str]) -> str:
    """Return ` (did you mean 'x'?)` for the nearest allowed name, or an empty text."""
    folded = {candidate.casefold(): candidate for candidate in reversed(allowed)}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return f" (did you mean '{folded[near[0]]}'?)" if near else ""
