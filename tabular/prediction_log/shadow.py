"""When a version in the shadow answers otherwise than production did. Needs no Arrow library."""

from __future__ import annotations

from collections.abc import Sequence

# Of production's answer, where that has no interval.
MAX_DIFFERENCE_SHARE = 0.05


def is_other_answer(
    production: str | float, shadow: str | float, interval: Sequence[float] | None = None
) -> bool:
    """Whether two answers to one row disagree.

    Another class does; a number outside production's interval does, or where there is none, a
    number more than a twentieth away.
    """
    if isinstance(production, str) or isinstance(shadow, str):
        return production != shadow
    if interval is not None:
        return not interval[0] <= shadow <= interval[1]
    return abs(shadow - production) > MAX_DIFFERENCE_SHARE * abs(production)
