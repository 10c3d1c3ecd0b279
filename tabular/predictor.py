"""A bundle that answers: the one way from rows to predictions, in training, batch and service.

Needs numpy and onnxruntime only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from tabular.bundle import GRAPH, TREES, Bundle
from tabular.contract import MISSING, Array, Columns, Feature, Matrix, encode
from tabular.errors import BundleError
from tabular.features import derive
from tabular.records import (
    BrokenRuleError,
    CodeReader,
    RawColumns,
    Reader,
    Record,
    TableReader,
    dtype_of,
    name_columns,
    named_columns,
)
from tabular.trees.tables import TreeTables, TreeWords, answer_alike

BATCH_ROWS = 65_536
# From so many rows on the tables are quicker than the graph, by 1.3 to 2 times; of 100 rows 4 times
# (LightGBM and CatBoost, 200 to 400 trees).
TABLE_ROWS = 30
PROBE_ROWS = 256
NO_CODE = -2  # no category is coded so
GOLDEN_TOLERANCE = 1e-5
# Processors differ this much in a graph's float32 answer; a steep calibration widens it.
ANSWER_NOISE = 1e-6

Floats = npt.NDArray[np.float64]

_GRAPH_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True)
class Prediction:
    """Answers for n rows, in their order; classes or values, never both.

    `labels` (n,) object of class names and `probabilities` (n, n_classes), calibrated, or `values`
    (n,) in the target's unit with `low` and `high` (n,) where an interval was fitted. `unseen` maps
    a column to which rows (n,) hold a category that training never saw; other columns are left out.
    """

    labels: Array | None = None
    probabilities: Floats | None = None
    values: Floats | None = None
    low: Floats | None = None
    high: Floats | None = None
    unseen: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


class RowPrediction(NamedTuple):
    """What `Prediction` holds, of one row: `unseen` names the columns with an unseen category."""

    label: str = ""
    probabilities: tuple[float, ...] = ()
    value: float = 0.0
    low: float | None = None
    high: float | None = None
    unseen: tuple[str, ...] = ()


class Predictor:
    """Answers with one bundle. Threads may share it."""

    def __init__(self, bundle: Bundle, n_threads: int = 1) -> None:
        self.bundle = bundle
        self.decision = bundle.decision
        self.contract = bundle.contract.contract
        self.features = bundle.contract.features
        self._session = open_graph(bundle.read(GRAPH), n_threads, where=str(bundle.path / GRAPH))
        width = self._session.get_inputs()[0].shape[1]
        if width != len(self.features):
            raise BundleError(
                f"{bundle.path / GRAPH}: reads {width} features, but contract.json lists "
                f"{len(self.features)}; train the problem again."
            )
        self.tables = self._open_tables()
        self._classes = np.array(self.decision.classes, dtype=object)
        inputs = self.contract.inputs()
        self._table = TableReader(self.contract)
        self._readers = self._table.readers
        self.input_names = tuple(inputs)
        self._dtypes = {name: dtype_of(column.type) for name, column in inputs.items()}
        self._category_places = [
            place for place, feature in enumerate(self.features) if feature.kind == "category"
        ]
        self._codes = [f.codes if f.kind == "category" else None for f in self.features]
        for feature in self.features:  # what is served most is read fast from the first request on
            if feature.name in self._readers:
                with suppress(BrokenRuleError):  # "" where the column is required
                    for category in feature.categories:
                        self._readers[feature.name].read(category)
        self._missing_codes = [
            f.codes[MISSING] if f.kind == "category" else NO_CODE for f in self.features
        ]
        self._names = [feature.name for feature in self.features]
        self._derives = bool(self.contract.derive)
        self._read_by_derivations = {
            name for derivation in self.contract.derive.values() for name in derivation.inputs
        }
        at_once = {
            feature.name: CodeReader(self._readers[feature.name], feature.codes)
            for feature in self.features
            if feature.kind == "category" and feature.name in self._readers
            if feature.name not in self._read_by_derivations
        }
        self._column_readers: Mapping[str, Reader | CodeReader] = {**self._readers, **at_once}
        self._coded_features = [
            Feature(name=feature.name, kind="number") if feature.name in at_once else feature
            for feature in self.features
        ]

    def _open_tables(self) -> TreeTables | None:
        """The bundle's tables, where it has some that answer to the bit as the graph does here."""
        if TREES not in self.bundle.manifest["files"]:
            return None
        try:
            tables = TreeTables(TreeWords.unpacked(self.bundle.read(TREES)))
            probes = tables.probe_rows(PROBE_ROWS, len(self.features))
        except (ValueError, IndexError) as error:
            raise BundleError(
                f"{self.bundle.path / TREES}: does not fit this version of bentoline ({error}); "
                "train the problem again."
            ) from error
        is_alike = answer_alike(tables, self._answer_by_graph, probes)
        return tables if is_alike else None  # a C library that rounds exp otherwise

    def answer_matrix(self, X: Matrix) -> Array:
        """The graph's raw answer, float32 (n, c), to the model input (n, k)."""
        if self.tables is not None and len(X) >= TABLE_ROWS:
            return self.tables.answer(X)
        return self._answer_by_graph(X)

    def _answer_by_graph(self, X: Matrix) -> Array:
        return _run(self._session, X)

    def answer(self, columns: Mapping[str, Array]) -> Array:
        """The graph's raw answer, float32 (n, c), to typed input columns of n values."""
        return self.answer_matrix(self.encode(columns))

    def encode(self, columns: Mapping[str, Array]) -> Matrix:
        """The model input (n, k) of typed input columns; columns are derived here."""
        return encode(self.features, derive(self.contract, columns))

    def predict(self, columns: Mapping[str, Array]) -> Prediction:
        """Predict n rows of typed input columns."""
        return self.predict_matrix(self.encode(columns))

    def predict_matrix(self, X: Matrix) -> Prediction:
        """Predict n rows of model input (n, k)."""
        calibrated = self.decision.calibrate(self.answer_matrix(X))
        is_unseen = X[:, self._category_places] == -1
        unseen = {}
        if is_unseen.any():
            for column, place in enumerate(self._category_places):
                if is_unseen[:, column].any():
                    unseen[self.features[place].name] = is_unseen[:, column]
        if self.decision.task == "regression":
            values = calibrated[:, 0]
            low, high = self.decision.interval(values) or (None, None)
            return Prediction(values=values, low=low, high=high, unseen=unseen)
        labels = self._classes[self.decision.labels(calibrated)]
        return Prediction(labels=labels, probabilities=calibrated, unseen=unseen)

    def predict_row(self, X: Matrix) -> RowPrediction:
        """What `predict_matrix` does for one row (1, k), in plain Python: 6 times as fast."""
        calibrated = self.decision.calibrate_row(self.answer_matrix(X)[0].tolist())
        row = X[0].tolist()
        unseen = tuple(self.features[p].name for p in self._category_places if row[p] == -1)
        if self.decision.task == "regression":
            value = calibrated[0]
            half_width = self.decision.interval_half_width
            if half_width is None:
                return RowPrediction(value=value, unseen=unseen)
            return RowPrediction("", (), value, value - half_width, value + half_width, unseen)
        label = self.decision.classes[self.decision.label_of_row(calibrated)]
        return RowPrediction(label, tuple(calibrated), unseen=unseen)

    def missing(self, X: Matrix) -> dict[str, int]:
        """In how many of n rows (n, k) a feature has no value; features with none are left out."""
        if len(X) == 1:  # arrays of one row are slow
            row = zip(self._names, X[0].tolist(), self._missing_codes, strict=True)
            return {name: 1 for name, value, code in row if value != value or value == code}
        codes = np.array(self._missing_codes, dtype=np.float32)
        n_rows = np.count_nonzero(np.isnan(X) | (codes == X), axis=0).tolist()
        return {name: n for name, n in zip(self._names, n_rows, strict=True) if n}

    def predict_records(self, records: Sequence[Record]) -> Prediction:
        """Predict n records of raw values, such as JSON objects.

        Raises:
            RecordsError: A record lacks a column, has an unknown one, or a value breaks the
                contract.
        """
        return self.predict_matrix(self.encode_records(records))

    def encode_records(self, records: Sequence[Any]) -> Matrix:
        """The model input (n, k) of n records; raises as `predict_records` does."""
        return self.read_records(records)[0]

    def read_records(self, records: Sequence[Any]) -> tuple[Matrix, RawColumns]:
        """What `encode_records` gives, and the raw values that it read, by column."""
        raw = self._table.raw_columns(records)
        X = self.encode_record(records[0]) if len(records) == 1 else self._encode_plain(raw)
        if X is None:
            X = self.encode(self._table.read(records))
        return X, raw or named_columns(self.contract, records)

    def _encode_plain(self, raw: RawColumns | None) -> Matrix | None:
        """Records as most are, by column; None where a name or a value needs another look.

        Texts that only the model reads become codes at once.
        """
        if raw is None:
            return None
        columns: Columns = {}
        for name, values in raw.items():
            column = self._column_readers[name].read_all(values)
            if column is None:
                return None
            columns[name] = column
        return encode(self._coded_features, derive(self.contract, columns))

    def encode_record(self, record: Any) -> Matrix:
        """What `encode_records` does, in plain Python: arrays of one value are slow."""
        if not isinstance(record, Mapping):
            return self.encode(self._table.read([record]))
        if record.keys() != self._readers.keys():
            record = name_columns(self.contract, record)
        values = {}
        try:
            for name, reader in self._readers.items():
                values[name] = reader.read(record[name])
        except BrokenRuleError:
            return self.encode(self._table.read([record]))  # raises, with all that is wrong
        if self._derives:
            one = {name: self._array(name, values[name]) for name in self._read_by_derivations}
            derived = derive(self.contract, one)
            values.update({name: derived[name][0] for name in self.contract.derive})
        row = [
            values[feature.name] if codes is None else codes.get(values[feature.name], -1)
            for feature, codes in zip(self.features, self._codes, strict=True)
        ]
        return np.array([row], dtype=np.float32)

    def _array(self, name: str, value: object) -> Array:
        return np.array([value], dtype=self._dtypes[name])

    def self_test(self) -> None:
        """Answer the golden rows, one by one and together.

        Raises:
            BundleError: An answer differs from the one that training wrote down, is no finite
                number, or differs between the graph and its tables.
        """
        golden = self.bundle.read_json("golden.json")
        X = np.zeros((len(golden), len(self.features)), dtype=np.float32)
        raw = []
        for place, row in enumerate(golden):
            X[place] = self.encode_record(row["record"])[0]
            raw.append(self._answer_by_graph(X[place : place + 1]))
            self._check_golden(place, raw[-1].astype(np.float64), row["answer"])
        by_graph = b"".join(answer.tobytes() for answer in raw)
        if golden and self.tables and self.tables.answer(X).tobytes() != by_graph:
            raise BundleError(
                f"{self.bundle.path / TREES}: answers the golden rows otherwise than {GRAPH} does; "
                "restore both from where they were copied, or train the problem again."
            )

    def _check_golden(self, place: int, raw: Floats, written: Sequence[float | None]) -> None:
        noise = ANSWER_NOISE * np.maximum(1, np.abs(raw))
        near = [self.decision.calibrate(raw + shift) for shift in (-noise, 0 * noise, noise)]
        answer = near[1]
        if None in written or not np.isfinite(answer).all():
            raise BundleError(
                f"{self.bundle.path}: golden row {place} answers {answer[0].tolist()}, and a model "
                "must answer finite numbers; train the problem again, with other candidates."
            )
        expected = np.array([written])
        slack = GOLDEN_TOLERANCE * np.maximum(1, np.abs(answer))
        if (
            answer.shape != expected.shape
            or not (
                (expected >= np.min(near, axis=0) - slack)
                & (expected <= np.max(near, axis=0) + slack)
            ).all()
        ):
            raise BundleError(
                f"{self.bundle.path}: golden row {place} answers {answer[0].tolist()}, but "
                f"training wrote {written}; this machine's onnxruntime computes "
                "otherwise: install the versions that manifest.json lists."
            )


def answer_graph(graph: bytes, X: Matrix) -> Array:
    """The raw answer, float32 (n, c), of an ONNX graph to the model input (n, k)."""
    return _run(open_graph(graph, 1, where=GRAPH), X)


def open_graph(graph: bytes, n_threads: int, *, where: str) -> ort.InferenceSession:
    """Open an ONNX graph of ours.

    Raises:
        BundleError: It is no graph that this onnxruntime runs.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # warnings are about speed; errors raise
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _GRAPH_ERRORS as error:
        reason = str(error).splitlines()[0][:200]
        raise BundleError(
            f"{where}: onnxruntime {ort.__version__} cannot run this graph ({reason}); install "
            "the version that manifest.json lists, or train the problem again."
        ) from error


def _run(session: ort.InferenceSession, X: Matrix) -> Array:
    """Run the graph on at most `BATCH_ROWS` rows at a time, so that memory stays bounded."""
    if 0 < len(X) <= BATCH_ROWS:
        answer: Array = session.run(("answer",), {"X": X})[0]
        return answer
    if len(X) == 0:  # not every operator takes no rows
        width = session.run(("answer",), {"X": np.zeros((1, X.shape[1]), dtype=np.float32)})[
            0
        ].shape[1]
        return np.empty((0, width), dtype=np.float32)
    parts = range(0, len(X), BATCH_ROWS)
    return np.concatenate([_run(session, X[start : start + BATCH_ROWS]) for start in parts])
