"""Batch scoring: a table of any size answered by one bundle, in parts, so that memory is bounded
and a run that dies goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tabular.bundle import Bundle
from tabular.engines import Engine
from tabular.scoring.input import PIECE_ROWS, Piece, ReadInput
from tabular.scoring.output import claimed, finish
from tabular.scoring.parts import Job, PartResult, finished_part, score_part

FORMAT_VERSION = 1

Progress = Callable[[PartResult, bool], None]


def describe_run(bundle: Bundle, problem: str, version: str, source: Any) -> dict[str, Any]:
    """What is scored with what, as JSON: runs with the same description give the same answers."""
    return {
        "format_version": FORMAT_VERSION,
        "problem": problem,
        "version": version,
        "bundle_sha256": bundle.manifest["sha256"],
        "piece_rows": PIECE_ROWS,
        "input": source,
    }


def score_table(
    bundle: Bundle,
    run: dict[str, Any],
    out: Path,
    *,
    read_input: ReadInput,
    engine: Engine,
    progress: Progress,
) -> dict[str, Any]:
    """Answer every row, and give the output its name once all parts are there.

    Args:
        bundle: The model.
        run: From `describe_run`.
        out: A new folder, or a file that ends in .csv (see `scoring_output`).
        read_input: Called once the output is ours, with the work folder, where it may keep a copy.
        engine: Where the parts are done.
        progress: Called with each part and whether an earlier process had done it.

    Returns:
        The manifest: the run's description, rows, refused rows, broken values by rule, seconds.

    Raises:
        ConfigError: There is something else at `out`.
        DataError: The input is damaged or empty.
        StoreError: The output cannot be written, or another process writes it.
    """
    started = time.perf_counter()
    with claimed(out, run) as work:
        table = read_input(work)
        job = Job(str(work), str(bundle.path), run["bundle_sha256"], run["version"], table.ids)
        results: list[PartResult] = []

        def note(result: PartResult, was_done: bool) -> None:
            results.append(result)
            progress(result, was_done)

        pieces = _still_to_do(table.pieces(), work, note)
        for result in engine.run(partial(score_part, job), pieces):
            note(result, False)
        manifest = {**run, **_counts(results), "engine": engine.name}
        manifest["seconds"] = round(time.perf_counter() - started, 3)
        finish(out, manifest)
    return manifest


def _still_to_do(pieces: Iterable[Piece], work: Path, note: Progress) -> Iterator[Piece]:
    for piece in pieces:
        done = finished_part(work, piece.number)
        if done:
            note(done, True)
        else:
            yield piece


def _counts(results: list[PartResult]) -> dict[str, Any]:
    by_rule: dict[str, int] = {}
    for result in sorted(results, key=lambda r: r.number):
        for rule, n_values in result.by_rule.items():
            by_rule[rule] = by_rule.get(rule, 0) + n_values
    return {
        "parts": len(results),
        "rows": sum(result.n_rows for result in results),
        "refused": sum(result.n_refused for result in results),
        "by_rule": by_rule,
    }
