"""Where a version in the shadow and production disagree, out of the log."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from tabular.contract import Frozen
from tabular.prediction_log.names import PRODUCTION, SHADOW
from tabular.prediction_log.reading import ANSWER_SCHEMA, OnUnreadable, read_log
from tabular.prediction_log.shadow import is_other_answer

MAX_PAIRS = 10
_KEY = ["request_id", "row"]
_SAID = ["prediction", "value", "low", "high"]


class Pair(Frozen):
    """How often production said one class and the shadow the other."""

    production: str
    shadow: str
    n_rows: int


class Disagreement(Frozen):
    """A version against the one that answered the same rows in production.

    `pairs` are the most frequent differences between classes. `mean_difference` is the shadow's
    number less production's, None for classes.
    """

    shadow: str
    production: str
    n_rows: int
    n_other: int
    other_share: float
    pairs: tuple[Pair, ...] = ()
    mean_difference: float | None = None


def disagreements(
    location: str,
    problem: str,
    since: datetime,
    until: datetime | None = None,
    *,
    on_unreadable: OnUnreadable | None = None,
) -> list[Disagreement]:
    """Compare every two versions that answered the same rows of [since, until).

    Raises:
        DataError: There is no prediction log of the problem.
    """
    batches = read_log(
        location, problem, since, until, ANSWER_SCHEMA.names, on_unreadable=on_unreadable
    )
    rows = pa.Table.from_batches(batches, ANSWER_SCHEMA)
    own, other = (
        rows.filter(pc.field("role") == role).select([*_KEY, "version", *_SAID])
        for role in (PRODUCTION, SHADOW)
    )
    both = own.join(other, _KEY, join_type="inner", right_suffix="_shadow")
    keys = both.group_by(["version_shadow", "version"]).aggregate([]).to_pylist()
    keys.sort(key=lambda key: (key["version_shadow"], key["version"]))
    return [_compared(both, key["version_shadow"], key["version"]) for key in keys]


def _compared(both: pa.Table, shadow: str, production: str) -> Disagreement:
    meant = (pc.field("version_shadow") == shadow) & (pc.field("version") == production)
    rows = both.filter(meant).to_pylist()
    others = [row for row in rows if _is_other(row)]
    is_class = bool(rows) and rows[0]["prediction"] is not None
    pairs = Counter((row["prediction"], row["prediction_shadow"]) for row in others)
    return Disagreement(
        shadow=shadow,
        production=production,
        n_rows=len(rows),
        n_other=len(others),
        other_share=len(others) / len(rows),
        pairs=tuple(
            Pair(production=a, shadow=b, n_rows=n)
            for (a, b), n in (pairs.most_common(MAX_PAIRS) if is_class else ())
        ),
        mean_difference=None
        if is_class
        else sum(row["value_shadow"] - row["value"] for row in rows) / len(rows),
    )


def _is_other(row: dict[str, object]) -> bool:
    if row["prediction"] is not None:
        return is_other_answer(str(row["prediction"]), str(row["prediction_shadow"]))
    interval = None if row["low"] is None else (row["low"], row["high"])
    return is_other_answer(row["value"], row["value_shadow"], interval)  # type: ignore[arg-type]
