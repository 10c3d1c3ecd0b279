"""What changed in a table's columns since the last snapshot, and whether the contract bears it.

A change breaks where training on the table would stop, or would read other values than are meant.
Whether values are unique is not looked at here; the contract check does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tabular.contract import Column, Frozen
from tabular.errors import did_you_mean, listed
from tabular.problem import Problem
from tabular.sources import Table
from tabular.tables.profiles import ColumnProfile, profile_columns
from tabular.tables.readers import open_table

Profiles = Mapping[str, ColumnProfile]

MIN_MISSING_CHANGE = 0.01  # smaller ones come with every new day


class Change(Frozen):
    """One change of one column; `before` and `after` are words for people."""

    column: str
    what: str
    breaks: bool
    before: str = ""
    after: str = ""
    fix: str = ""


def find_columns(problem: Problem, names: Sequence[str]) -> tuple[dict[str, str], list[Change]]:
    """Match a table's columns with the contract's, and say which came, went or moved.

    Returns:
        The table's name for each column of the contract that is there, target last; the changes.
    """
    wanted = {**problem.columns, problem.target.column: Column(type="id")}
    stripped = {name.strip(): name for name in names}
    found: dict[str, str] = {}
    for name, column in wanted.items():
        forms = [form for form in (name.strip(), *column.also_named) if form in stripped]
        if forms:
            found[name] = stripped[forms[0]]
    new = [name for name in stripped if stripped[name] not in found.values()]
    gone = [n for n in wanted if n not in found and wanted[n].type != "ignore"]
    changes = [_gone(name, new) for name in gone]
    changes += [_renamed(name, raw) for name, raw in found.items() if raw.strip() != name.strip()]
    changes += [
        Change(column=name, what="new column", breaks=False, fix="add it to `columns` to use it")
        for name in new
    ]
    there = [name for name in names if name in found.values()]
    if there != list(found.values()):
        changes.append(Change(column="", what="other order of columns", breaks=False))
    return found, changes


def _gone(name: str, new: Sequence[str]) -> Change:
    hint = did_you_mean(name, new)
    fix = "add the new name to `also_named`" if hint else "add the column, or take it out"
    return Change(column=name, what=f"column gone{hint}", breaks=True, fix=fix)


def _renamed(name: str, raw: str) -> Change:
    return Change(column=name, what="other name", breaks=False, before=name, after=raw.strip())


def compare_columns(problem: Problem, new: Profiles, old: Profiles) -> list[Change]:
    """Say how the values of a table differ from the contract and from the last snapshot's.

    Args:
        problem: Contract, target and `max_refused_share`.
        new: Columns of the table.
        old: Columns of the last snapshot; empty where there is none.
    """
    changes: list[Change] = []
    for name, profile in new.items():
        if name == problem.target.column:
            changes += _target_changes(problem, profile)
        else:
            column = problem.columns[name]
            changes += _contract_changes(problem, name, profile)
            if name in old and column.type != "ignore":
                changes += _since(name, column, profile, old[name])
    return changes


def _contract_changes(problem: Problem, name: str, profile: ColumnProfile) -> Iterator[Change]:
    column, limit = problem.columns[name], problem.max_refused_share
    if profile.n_unreadable:
        yield _values(
            name, f"no {column.type}", profile, profile.n_unreadable, limit,
            fix=f"type {profile.stored_as} came; mend it, or change `type`",
        )  # fmt: skip
    if profile.n_outside and column.out_of_range == "refuse":
        yield _values(
            name,
            "out of range",
            profile,
            profile.n_outside,
            limit,
            fix="mend it, or widen min, max",
        )
    missing_limit = min(column.max_missing_share, limit if column.required else 1.0)
    if profile.missing_share > missing_limit:
        yield _values(
            name, "missing", profile, profile.n_missing, missing_limit,
            fix="load it anew, or raise `max_missing_share`",
        )  # fmt: skip
    if profile.unseen:
        is_closed = column.unseen == "refuse"
        yield Change(
            column=name,
            what="categories that the contract does not list",
            breaks=is_closed,
            after=f"{listed(sorted(profile.unseen))} ({profile.share(profile.n_unseen):.1%})",
            fix="add them to `categories`, or to `aliases`" if is_closed else "",
        )


def _values(
    name: str, what: str, profile: ColumnProfile, n: int, limit: float, *, fix: str
) -> Change:
    """Rows that would be refused: more than the limit stop a training, fewer are put aside."""
    breaks = profile.share(n) > limit
    return Change(
        column=name,
        what=f"values {what}" if what != "missing" else what,
        breaks=breaks,
        before=f"at most {limit:.1%}",
        after=f"{profile.share(n):.1%}",
        fix=fix,
    )


def _target_changes(problem: Problem, profile: ColumnProfile) -> Iterator[Change]:
    name, limit = problem.target.column, problem.max_refused_share
    if profile.unseen:
        yield Change(
            column=name,
            what="classes that the target does not list",
            breaks=True,
            after=f"{listed(sorted(profile.unseen))} ({profile.share(profile.n_unseen):.1%})",
            fix="add them to `target.classes`, or mend them",
        )
    for what, n in (("no number", profile.n_unreadable), ("out of range", profile.n_outside)):
        if n:
            yield _values(name, what, profile, n, limit, fix="mend it, or widen `target`")
    if profile.n_missing and problem.target.missing == "refuse":
        yield _values(
            name, "missing", profile, profile.n_missing, 0.0, fix="or write `target.missing: drop`"
        )


def _since(name: str, column: Column, new: ColumnProfile, old: ColumnProfile) -> Iterator[Change]:
    """What is no matter of the contract, yet other than in the last snapshot."""
    if new.stored_as != old.stored_as:
        yield Change(
            column=name,
            what="stored as another type",
            breaks=False,
            before=old.stored_as,
            after=new.stored_as,
        )
    if abs(new.missing_share - old.missing_share) >= MIN_MISSING_CHANGE:
        more = "more" if new.missing_share > old.missing_share else "fewer"
        yield Change(
            column=name,
            what=f"{more} missing",
            breaks=False,
            before=f"{old.missing_share:.1%}",
            after=f"{new.missing_share:.1%}",
        )
    if column.categories is None and (wider := new.categories - old.categories):
        yield Change(column=name, what="new categories", breaks=False, after=listed(sorted(wider)))


def newest_snapshot(folder: Path) -> Path | None:
    """The snapshot that was written last, or None."""
    found = [path for path in folder.glob("*.parquet") if not path.name.startswith(".")]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def diff_table(problem: Problem, table: Table, last: Path | None) -> list[Change]:
    """All changes of a table against the contract and the last snapshot, breaking ones first.

    Both are read through once, in batches.
    """
    found, changes = find_columns(problem, table.names)
    raw = table.batches(list(found.values()))
    new = profile_columns(problem, (batch.rename_columns(list(found)) for batch in raw))
    old: Profiles = {}
    if last is not None:
        stored = open_table(str(last))
        names = [name for name in stored.names if name in found]
        old = profile_columns(problem, stored.batches(names))
    changes += compare_columns(problem, new, old)
    return sorted(changes, key=lambda change: not change.breaks)
