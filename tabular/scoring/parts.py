"""One part of a batch scoring run: rows in, a Parquet file of answers out, wherever it runs.

A part is whole or not there, and rests on nothing but its own rows and the bundle: parts can be
done in any order, by any process that sees the folders, and again after a crash.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tabular.bundle import load_bundle
from tabular.contract import Array, Violation
from tabular.decision import Decision, Floats
from tabular.errors import StoreError
from tabular.files import whole_file
from tabular.predictor import Predictor
from tabular.scoring.input import Piece
from tabular.tables.arrow_columns import encode_batch, read_batch

# Names that readers of Parquet folders pass over.
ERRORS, RUN = "_errors", "_run.json"
ROW, PREDICTION, VERSION = "row_number", "prediction", "model_version"
FACTS = b"bentoline"
NO_NUMBER = ("", "", "the model's answer is a finite number")
ERROR_SCHEMA = pa.schema(
    [(ROW, pa.int64()), ("column", pa.string()), ("value", pa.string()), ("rule", pa.string())]
)


@dataclass(frozen=True)
class Job:
    """What all parts of a run share; small enough to be sent with each of them.

    `ids` are the columns that are carried through to the answers, for joining.
    """

    out: str
    bundle: str
    bundle_sha256: str
    version: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class PartResult:
    """What became of a part. `n_refused` rows broke the contract; `by_rule` counts their values."""

    number: int
    n_rows: int
    n_refused: int
    by_rule: dict[str, int]


def part_path(out: Path, number: int) -> Path:
    """The file of a part's answers."""
    return out / f"part-{number:05}.parquet"


def errors_path(out: Path, number: int) -> Path:
    """The file of the values in a part that broke the contract; absent where none did."""
    return out / ERRORS / f"part-{number:05}.parquet"


def finished_part(out: Path, number: int) -> PartResult | None:
    """What an earlier process wrote down of a part, or None where it is still to be done."""
    path = part_path(out, number)
    if not path.exists():
        return None
    metadata = pq.read_metadata(path)
    return PartResult(number, metadata.num_rows, **json.loads(metadata.metadata[FACTS]))


def score_part(job: Job, piece: Piece) -> PartResult:
    """Answer the rows of a piece; write the errors first, then the answers: they say "done".

    Raises:
        DataError: The piece cannot be read.
        StoreError: The output folder cannot be written, or the disk is full.
    """
    out, violations = Path(job.out), list[Violation]()
    if not (out / RUN).exists():
        raise StoreError(
            f"{out}: the worker on {platform.node()} does not see this folder; put --out, the "
            "table and the registry on a disk that all workers share."
        )
    predictor = _load(job.bundle, job.bundle_sha256)
    try:
        with whole_file(part_path(out, piece.number)) as unfinished:
            result = _write_part(job, piece, predictor, unfinished, violations)
            _write_errors(violations, errors_path(out, piece.number))
    except StoreError as error:
        reason = getattr(error.__cause__, "strerror", None)
        if reason is None:
            raise
        raise StoreError(
            f"{out}: part {piece.number} cannot be written ({reason}); free some room and run the "
            "same command again: finished parts are kept."
        ) from error
    return result


def _write_part(
    job: Job, piece: Piece, predictor: Predictor, path: Path, violations: list[Violation]
) -> PartResult:
    n_rows, refused_rows, writer = 0, 0, None
    try:
        for batch in piece.batches():
            answers, broken = score_batch(job, predictor, batch, piece.first_row + n_rows)
            writer = writer or pq.ParquetWriter(
                path, answers.schema, use_dictionary=[PREDICTION, VERSION], write_statistics=[ROW]
            )
            writer.write_batch(answers)
            n_rows += batch.num_rows
            refused_rows += len({violation.row for violation in broken})
            violations += broken
        by_rule = _by_rule(violations)
        facts = {"n_refused": refused_rows, "by_rule": by_rule}
        if writer:
            writer.add_key_value_metadata({FACTS: json.dumps(facts)})
    finally:
        if writer:
            writer.close()
    return PartResult(piece.number, n_rows, refused_rows, by_rule)


def _write_errors(violations: list[Violation], path: Path) -> None:
    if violations:
        columns = zip(*((v.row, v.column, v.value, v.rule) for v in violations), strict=True)
        with whole_file(path) as unfinished:
            pq.write_table(pa.table(list(map(list, columns)), schema=ERROR_SCHEMA), unfinished)


def _by_rule(violations: list[Violation]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for violation in violations:
        rule = f"{violation.column}: {violation.rule}"
        counts[rule] = counts.get(rule, 0) + 1
    return counts


@functools.lru_cache(maxsize=1)
def _load(bundle: str, sha256: str) -> Predictor:
    """The bundle, loaded and tested once in a process."""
    loaded = load_bundle(Path(bundle))
    if loaded.manifest["sha256"] != sha256:
        raise StoreError(f"{bundle}: another bundle lies here than the run began with; start anew.")
    predictor = Predictor(loaded)
    predictor.self_test()
    return predictor


def score_batch(
    job: Job, predictor: Predictor, batch: pa.RecordBatch, first_row: int
) -> tuple[pa.RecordBatch, list[Violation]]:
    """Answer n raw rows.

    Returns:
        Answers (n rows, order kept): `row_number`, the ids, `prediction` and what goes with it,
        `model_version`. A row that breaks the contract, or that the model answers by NaN, has null
        for an answer. And each broken value, its row counted like `row_number`.
    """
    n_rows = batch.num_rows
    columns, broken = read_batch(predictor.contract, batch)
    X = encode_batch(predictor.contract, predictor.features, columns)
    is_refused = np.zeros(n_rows, dtype=bool)
    is_refused[[violation.row for violation in broken]] = True
    answers: dict[str, Any] = {ROW: np.arange(first_row, first_row + n_rows)}
    answers |= {_id_name(name): batch.column(name) for name in job.ids}
    calibrated = predictor.decision.calibrate(predictor.answer_matrix(X))
    no_number = ~is_refused & ~np.isfinite(calibrated).all(axis=1)
    broken += [Violation(row, *NO_NUMBER) for row in np.flatnonzero(no_number).tolist()]
    answers |= _decided(predictor.decision, calibrated, is_refused | no_number)
    answers[VERSION] = _coded(np.zeros(n_rows, dtype=np.int32), [job.version])
    moved = [Violation(first_row + v.row, v.column, v.value, v.rule) for v in broken]
    return pa.record_batch(answers), moved


def _id_name(name: str) -> str:
    taken = (ROW, PREDICTION, VERSION, "confidence", "low", "high")
    return f"input_{name}" if name in taken or name.startswith("probability_") else name


def _decided(
    decision: Decision, calibrated: Floats, is_refused: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, pa.Array]]:
    """Columns of n answers (n, c): label, confidence, probabilities; or value and interval."""
    mask = is_refused if is_refused.any() else None
    if decision.task == "regression":
        values = calibrated[:, 0]
        yield PREDICTION, pa.array(values, mask=mask)
        low, high = decision.interval(values) or (None, None)
        if low is not None:
            yield "low", pa.array(low, mask=mask)
            yield "high", pa.array(high, mask=mask)
        return
    places = decision.labels(calibrated)
    yield PREDICTION, _coded(pa.array(places.astype(np.int32), mask=mask), decision.classes)
    confidence = np.take_along_axis(calibrated, places[:, None], axis=1)[:, 0]
    yield "confidence", pa.array(confidence, mask=mask)
    for place, name in enumerate(decision.classes):
        yield f"probability_{name}", pa.array(calibrated[:, place], mask=mask)


def _coded(places: Array | pa.Array, texts: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(places, pa.array(list(texts), pa.string()))
