"""The stage of each version, for catalogues that know stages and no aliases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from tabular.registry import Registry

Stage = Literal["none", "staging", "production", "archived"]

# The aliases that gates lead to, in the order in which a version climbs.
LED_TO = ("staging", "production")


class Shown(NamedTuple):
    """What a catalogue shows of a version."""

    stage: str
    is_candidate: bool


class Disagreement(NamedTuple):
    """A version that a catalogue shows otherwise than the registry; `shown` is None if it lacks it.

    `wanted` is None where the registry has no such version.
    """

    version: str
    shown: Shown | None
    wanted: Shown | None

    @property
    def sentence(self) -> str:
        """The disagreement in words."""
        if self.shown is None:
            return f"{self.version} was missing"
        if self.wanted is None:
            return f"{self.version} was in {self.shown.stage}, and the registry has no such version"
        if self.shown.stage != self.wanted.stage:
            where = "no stage" if self.wanted.stage == "none" else self.wanted.stage
            return f"{self.version} was in {self.shown.stage}, and the registry says {where}"
        said = "was" if self.shown.is_candidate else "was not"
        return f"{self.version} {said} tagged as candidate, against the registry"


def wanted_stages(registry: Registry, problem: str) -> dict[str, Shown]:
    """What aliases and audit make of every version, oldest first.

    A version is in production or staging while that alias names it, archived once it has been in
    one of them, and otherwise in no stage. At most one version is in each of the two.
    """
    aliases = registry.aliases(problem)  # read before the versions, so that it names one of them
    by_version = {
        aliases[name]: name for name in LED_TO if name in aliases
    }  # production last: a version that both aliases name is in production
    moves = registry.audit(problem)
    held = {version for name in LED_TO for version in _named(moves, name)}
    return {
        version: Shown(
            by_version.get(version, "archived" if version in held else "none"),
            aliases.get("candidate") == version,
        )
        for version in registry.versions(problem)
    }


def past_versions(registry: Registry, problem: str, alias: str) -> list[str]:
    """The versions that an alias named, in the order of the moves, its present one last."""
    return _named(registry.audit(problem, alias), alias)


def _named(moves: Iterable[Mapping[str, str]], alias: str) -> list[str]:
    return [move["to"] for move in moves if move["alias"] == alias and not move.get("refused")]


def disagreements(
    wanted: Mapping[str, Shown], shown: Mapping[str, Shown]
) -> tuple[Disagreement, ...]:
    """Every version to mend, those to take out of a stage first.

    A version that never held an alias may be shown as archived: ZenML takes no version back to
    `none` without archiving another one that is there.
    """
    found = [
        Disagreement(version, shown.get(version), want)
        for version, want in wanted.items()
        if not _agrees(shown.get(version), want)
    ]
    strangers = [
        Disagreement(version, one, None)
        for version, one in shown.items()
        if version not in wanted and one.stage in ("staging", "production")
    ]
    leaving = ("archived", "none")
    return tuple(
        sorted(
            (*strangers, *found),
            key=lambda one: one.wanted is not None and one.wanted.stage not in leaving,
        )
    )


def _agrees(shown: Shown | None, want: Shown) -> bool:
    if shown is None:
        return False
    stage_fits = shown.stage == want.stage or (want.stage, shown.stage) == ("none", "archived")
    return stage_fits and shown.is_candidate == want.is_candidate
