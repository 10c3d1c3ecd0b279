"""What is due after a look at a window: by the YAML's rules, in words."""

from __future__ import annotations

from datetime import datetime

from tabular.contract import Frozen
from tabular.drift.compare import ColumnDrift
from tabular.drift.live import Live
from tabular.drift.settings import Retrain
from tabular.drift.window import Drift


class Due(Frozen):
    """Whether the model should be trained again, why, and what moved without hurting."""

    is_due: bool
    reasons: tuple[str, ...]
    harmless: tuple[str, ...]
    sentence: str


def decide_due(
    drift: Drift, live: Live, retrain: Retrain, *, trained_at: datetime, now: datetime
) -> Due:
    """Hold a window's findings against the rules.

    Args:
        drift: What moved.
        live: What the outcomes say; where they say nothing, an important column's drift counts.
        retrain: The rules.
        trained_at: When the version in production was made.
        now: The end of the window.
    """
    reasons: list[str] = []
    harmless: list[str] = []
    if live.state == "missed" and retrain.performance:
        reasons.append(live.sentence)
    important, others = _parted(drift, retrain.min_importance)
    if retrain.drift and live.state == "unknown":
        reasons += important
        harmless += others
    else:
        harmless += important + others
    age_days = (now - trained_at).total_seconds() / 86_400
    if retrain.max_age_days is not None and age_days > retrain.max_age_days:
        reasons.append(
            f"{drift.version} is {age_days:.0f} days old, more than {retrain.max_age_days:g}"
        )
    if retrain.min_new_rows is not None and live.n_new >= retrain.min_new_rows:
        reasons.append(
            f"{live.n_new:,} outcomes came in since {drift.version} was trained, at least "
            f"{retrain.min_new_rows:,} were asked for"
        )
    return Due(
        is_due=bool(reasons),
        reasons=tuple(reasons),
        harmless=tuple(harmless),
        sentence=_sentence(drift, live, reasons, harmless),
    )


def _parted(drift: Drift, min_importance: float) -> tuple[list[str], list[str]]:
    """Alarms of answers and important columns, and those of all others."""

    def is_important(one: ColumnDrift) -> bool:
        return one.role in ("prediction", "outcome") or one.importance >= min_importance

    found = [*drift.answers, *drift.columns]
    important = [a for one in found if is_important(one) for a in one.alarms]
    return important, [a for one in found if not is_important(one) for a in one.alarms]


def _sentence(drift: Drift, live: Live, reasons: list[str], harmless: list[str]) -> str:
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"Action is due: {reasons[0]}{more}."
    if drift.obstacle:
        return f"No verdict on drift: {drift.obstacle}."
    if harmless and live.state == "worse":
        return f"Drift hurts, and no gate is missed yet: {live.sentence}."
    if harmless and live.state == "holds":
        return f"{len(harmless)} alarms of drift that does not hurt: {live.sentence}."
    if harmless:
        return f"{len(harmless)} alarms on columns of little importance; nothing is due."
    return "Nothing moved beyond its limits; nothing is due."
