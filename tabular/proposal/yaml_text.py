"""A proposal as a commented YAML file: one line for a column, the reason beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tabular.proposal.draft import Proposal
from tabular.proposal.sample import Sample

MAX_COMMENT = 110
LINE = 120  # characters; a longer column goes over several lines


def yaml_text(proposal: Proposal, sample: Sample) -> str:
    """The file's text; `yaml.safe_load` gives the proposal's keys back, the name left out."""
    keys = proposal.keys
    parts = [
        _head(proposal, sample),
        _block({key: keys[key] for key in ("title", "task", "seed")}),
        _block({"source": keys["source"]}, _source_comment(sample)),
        _block({"target": keys["target"]}, proposal.target.why),
        "\n".join(_columns(proposal)),
    ]
    if "missing_values" in keys:
        why = "Texts that stand for a value that is not known, in any case of letters."
        parts.append(_block({"missing_values": keys["missing_values"]}, why))
    if "derive" in keys:
        why = "What a model reads of dates and times; `docs/any-table.md` lists the functions."
        parts.append(_entries("derive", keys["derive"], why))
    parts.append(_block({"split": keys["split"]}, proposal.split.why))
    parts.append(_block({"search": keys["search"]}))
    parts.append(_entries("candidates", keys["candidates"], "The first is what others must beat."))
    parts += [_block({name: keys[name]}) for name in ("decision", "evaluation") if name in keys]
    if "leaks" in keys:
        why = "Left out above: they tell the target, as what is written down afterwards does."
        parts.append(_block({"leaks": keys["leaks"]}, why))
    parts.append(_gates(proposal))
    return "\n\n".join(parts) + "\n"


def _head(proposal: Proposal, sample: Sample) -> str:
    rows = f"{sample.n_rows:,}" if sample.is_whole else f"about {sample.n_rows:,}"
    kept = sample.rows.num_rows
    seen = f"{kept:,} of {rows} rows" if kept < sample.n_rows else f"{rows} rows"
    lines = [
        f"Proposed by --init from {seen} of {sample.where}.",
        "Read it through once: training and serving hold every row against its columns.",
        "",
        f"  python run.py --train --problem {proposal.name}",
        f"  python run.py --serve --problem {proposal.name}",
    ]
    if sample.source["kind"] == "mongodb":
        lines.insert(2, "MONGODB_URI names the server; it is not written down here.")
    return "\n".join(comment(line) for line in lines)


def comment(text: str) -> str:
    """One line of comment; what would end it is written as an escape."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"# {plain}".rstrip()


def _short(text: str) -> str:
    return text if len(text) <= MAX_COMMENT else text[: MAX_COMMENT - 3] + "..."


def _source_comment(sample: Sample) -> str:
    return "; ".join(text for text in (sample.note, *sample.asides) if text)


class _Quoting(yaml.SafeDumper):
    """Quotes a text that begins with a digit or a sign: YAML 1.2 reads 04109 as a number."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_numeric = text[:1].isdigit() or text[:1] in "+-.'"
    style = '"' if is_numeric or not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Quoting.add_representer(str, _represent)


def _flow(value: Any) -> str:
    """A value on one line, quoted where YAML would read it otherwise."""
    text = yaml.dump(
        value,
        Dumper=_Quoting,
        default_flow_style=True,
        allow_unicode=True,
        sort_keys=False,
        width=math.inf,
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _key(name: str) -> str:
    """A name before a colon, on one line."""
    return _flow({name: 0}).removeprefix("{").removesuffix(": 0}").removeprefix("? ").strip()


def _block(keys: Mapping[str, Any], why: str = "") -> str:
    """Keys as YAML, nested values below them, short lists in brackets."""
    lines = [comment(_short(why[:1].upper() + why[1:]))] if why else []
    for name, value in keys.items():
        if isinstance(value, Mapping):
            lines.append(f"{name}:")
            lines += [f"  {_key(key)}: {_flow(inner)}" for key, inner in value.items()]
        else:
            lines.append(f"{name}: {_flow(value)}")
    return "\n".join(lines)


def _entries(name: str, entries: Mapping[str, Any], why: str) -> str:
    lines = [comment(why), f"{name}:"]
    for key, value in entries.items():
        lines += _entry(key, value)
    return "\n".join(lines)


def _entry(name: str, value: Mapping[str, Any], why: str = "") -> list[str]:
    """`name: {...}` on one line, or one line for each key where that is too long."""
    said = f"  {comment(_short(why))}" if why else ""
    line = f"  {_key(name)}: {_flow(value)}"
    if len(line) <= LINE:
        return [line + said]
    return [f"  {_key(name)}:{said}", *(f"    {key}: {_flow(v)}" for key, v in value.items())]


def _columns(proposal: Proposal) -> Iterator[str]:
    yield comment("Each column of the table. A model never reads those of type id or ignore.")
    yield "columns:"
    for column in proposal.columns:
        mark = {"unsure": "NOT SURE: ", "likely": "likely: "}.get(column.sureness, "")
        is_plain = column.why in ("numbers", "dates", "times of day") or (
            "categories" in column.keys and column.sureness == "sure"
        )
        yield from _entry(column.name, column.keys, "" if is_plain else mark + column.why)


def _gates(proposal: Proposal) -> str:
    metric, value = proposal.reached
    lines = [
        comment("All must hold on the test part, measured on the exported bundle. On the sample a"),
        comment(f"quick model reached {metric} {value:.3f}: tighten the limit once you know more."),
        "gates:",
    ]
    return "\n".join([*lines, *(f"  - {_flow(gate)}" for gate in proposal.keys["gates"])])
