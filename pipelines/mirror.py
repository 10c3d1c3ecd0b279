"""ZenML's stages follow the registry's aliases: a cheap look first, ZenML only where it differs.

The aliases decide what is served, and move without ZenML; what it shows is mended afterwards, from
the registry's truth as it is by then, under the lock of the ZenML store. However many processes
promote at once, the last of them to hold the lock leaves ZenML as the last move left the registry.
docs/adr/0010 says why it is so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.console import show_note
from pipelines.place import Place
from pipelines.store import has_store, open_client, reap_dead_runs, store_folder, zenml_store
from pipelines.store_view import shown_stages
from tabular.errors import BentolineError
from tabular.registry import Registry
from tabular.versions.stages import disagreements, wanted_stages

# How long a promotion waits for others that mirror theirs; it has moved its alias by then.
WAIT_S = 60.0

_UNMENDED = (
    "ZenML does not show it yet ({reason}) The registry's aliases are what is served; "
    "--status brings ZenML up to date later."
)


@dataclass(frozen=True)
class Mirrored:
    """How ZenML stands to the registry, and in words what it showed otherwise.

    `absent`: ZenML was never used from here. `healed`: it disagreed, and agrees now. `differs`: it
    disagrees still, and `reason` says why.
    """

    state: Literal["absent", "agrees", "healed", "differs"]
    disagreed: tuple[str, ...] = ()
    reason: str = ""


def mirror(place: Place, registry: Registry, problems: Sequence[str], *, wait_s: float) -> Mirrored:
    """Let ZenML show the aliases of these problems, if it does not yet.

    Never raises for a ZenML store that is in use or broken: the registry stands without it.
    """
    if not has_store(place.home):
        return Mirrored("absent")
    seen: tuple[str, ...] | None = None
    try:
        seen = _differences(place, registry, problems)
        if seen != ():
            seen = _mend(place, registry, problems, wait_s)
    except BentolineError as error:
        return Mirrored("differs", seen or (), str(error))
    except Exception as error:  # noqa: BLE001  # ZenML's errors have no common class
        reason = (str(error).splitlines() or [""])[0][:200]
        return Mirrored("differs", seen or (), f"{type(error).__name__}: {reason}")
    return Mirrored("healed" if seen else "agrees", seen)


def mirror_promotion(place: Place, registry: Registry, problem: str) -> Mirrored:
    """Let ZenML follow a move that was just made and said, and say what came of it."""
    mirrored = mirror(place, registry, [problem], wait_s=WAIT_S)
    if mirrored.state in ("agrees", "healed"):
        show_note("ZenML shows it too.")
    elif mirrored.state == "differs":
        show_note(_UNMENDED.format(reason=mirrored.reason))
    return mirrored


def tell_disagreement(mirrored: Mirrored) -> None:
    """Name what ZenML showed otherwise, and what came of it."""
    for sentence in mirrored.disagreed:
        show_note(f"ZenML disagreed: {sentence}.")
    if mirrored.state == "healed":
        show_note("ZenML shows the registry's aliases again.")
    elif mirrored.state == "differs":
        show_note(_UNMENDED.format(reason=mirrored.reason))


def _differences(
    place: Place, registry: Registry, problems: Sequence[str]
) -> tuple[str, ...] | None:
    """What ZenML shows otherwise, looked up without it; None where only ZenML can tell."""
    shown = shown_stages(store_folder(place.home))
    if shown is None:
        return None
    return tuple(
        f"{problem} {one.sentence}"
        for problem in problems
        for one in disagreements(wanted_stages(registry, problem), shown.get(problem, {}))
    )


def _mend(
    place: Place, registry: Registry, problems: Sequence[str], wait_s: float
) -> tuple[str, ...]:
    """Mend what ZenML shows under the lock of its store, and return what it was."""
    with zenml_store(place.home, wait_s=wait_s):
        # Another process may have mended it while this one waited: that saves 10 s of CPU.
        if _differences(place, registry, problems) == ():
            return ()
        reap_dead_runs(open_client())
        from steps.model_version import mirror_problem

        return tuple(
            f"{problem} {one.sentence}"
            for problem in problems
            for one in mirror_problem(registry, problem)
        )
