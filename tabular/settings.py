"""The parts of a problem's YAML, each a frozen model of its own. `tabular.problem` joins them."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tabular.contract import Frozen
from tabular.numerals import Numeral
from tabular.tables.csv_forms import Separator

Task = Literal["binary", "multiclass", "regression"]
Severity = Literal["block", "warn"]
LeakAction = Literal["block", "warn", "off"]
Alias = Literal["candidate", "staging", "production"]
Share = Annotated[float, Field(gt=0, lt=1)]
Value = str | int | float | bool | None

METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "pr_auc", "f1", "precision", "recall", "accuracy", "brier", "log_loss"),
    "multiclass": ("accuracy", "f1_macro", "log_loss"),
    "regression": ("mae", "rmse", "r2", "p95_error", "coverage", "interval_width"),
}
SEARCH_METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "pr_auc", "f1", "accuracy", "brier", "log_loss"),
    "multiclass": ("accuracy", "f1_macro", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
}
LOWER_IS_BETTER = frozenset(
    {"brier", "log_loss", "mae", "rmse", "p95_error", "interval_width", "extreme_error_share"}
)
# Beside a task's metrics, gates may read these facts of the bundle.
GATE_FACTS = ("latency_ms", "parity_share", "label_disagreement_share")


class Source(Frozen):
    """Where the rows come from when no `--data` is given."""

    kind: Literal["sample", "csv", "parquet", "sklearn", "mongodb"]
    """`sample` is made up from a recipe, `sklearn` a table that scikit-learn ships."""
    path: str = ""
    """A table, a folder of Parquet parts, s3://..., a recipe, or a name in scikit-learn."""
    separator: Separator = ""
    """Of kind csv, what stands between two fields; looked for in the file where it is empty."""
    encoding: str = ""
    """Of kind csv; where it is empty UTF-8, or what a byte order mark says."""
    rows: int = Field(default=20_000, ge=1)
    """How many rows a sample has."""
    database: str = ""
    """Of kind mongodb; the server is named by MONGODB_URI."""
    collection: str = ""
    """Of kind mongodb."""
    query: dict[str, Any] = Field(default_factory=dict)
    """Which documents are read, in MongoDB's own language; all where it is empty."""
    projection: dict[str, str] = Field(default_factory=dict)
    """The field of a document that holds a column, dots go deeper; others are named as theirs."""
    key: tuple[str, ...] = ()
    """Columns that tell rows apart for `--load`: loading a file again changes nothing."""
    otherwise: Source | None = None
    """What is read instead where MONGODB_URI is not set."""

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> Source:
        is_mongodb = self.kind == "mongodb"
        if not is_mongodb and not self.path:
            raise ValueError(f"path is needed for kind {self.kind}")
        if is_mongodb and not (self.database and self.collection):
            raise ValueError("database and collection are needed for kind mongodb")
        for name in ("database", "collection", "query", "projection", "key", "otherwise"):
            if getattr(self, name) and not is_mongodb:
                raise ValueError(f"{name} is for kind mongodb, got kind {self.kind}")
        for name in ("separator", "encoding"):
            if getattr(self, name) and self.kind != "csv":
                raise ValueError(f"{name} is for kind csv, got kind {self.kind}")
        if self.encoding and not _is_codec(self.encoding):
            raise ValueError(
                f"encoding '{self.encoding}' is not known; such as utf-8, cp1252, latin-1, utf-16"
            )
        if self.otherwise is not None and self.otherwise.kind == "mongodb":
            raise ValueError("otherwise must name another kind than mongodb")
        return self


def _is_codec(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


class Target(Numeral, Frozen):
    """What is predicted."""

    column: str
    """The column that is predicted; it does not stand under `columns`."""
    unit: str = ""
    """Of a regression's values, for people."""
    description: str = ""
    """What the value says, for people."""
    classes: dict[str, str | int | float] = Field(default_factory=dict)
    """The name that people read, and the raw value that stands in the table."""
    positive: str = ""
    """Of two classes the one that threshold, precision, recall and F1 are about."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Other ways in which a raw value is written, and the one in `classes`."""
    min: float | None = None
    """The least value that a regression's target may have."""
    max: float | None = None
    """The greatest value that a regression's target may have."""
    missing: Literal["refuse", "drop"] = "refuse"
    """Whether a row without target is refused, or left out and counted."""


class Split(Frozen):
    """How rows are parted, with a seed of its own: models of another `seed` share the test rows."""

    kind: Literal["random", "stratified", "time", "group"]
    """`stratified` keeps the classes' shares, `time` tests on the latest rows."""
    test_share: Share = 0.2
    """Share of the rows that judge the model, touched once."""
    validation_share: Share = 0.1
    """Share of the rows that calibration, threshold and interval are fitted on."""
    time_column: str = ""
    """A column of type date, for kind time."""
    group_columns: tuple[str, ...] = ()
    """Rows that agree in these stay on one side, for kind group; all inputs where it is empty."""
    seed: int = Field(default=42, ge=0, le=2**31)
    """Drives the drawing of the parts alone."""
    max_train_rows: int = Field(default=1_000_000, ge=100)
    """Of a larger table so many rows are drawn and trained on."""
    train_on: Literal["sample", "partitions"] = "sample"
    """`partitions` fits the winner on all of them: LightGBM, with `--engine dask`."""
    max_test_rows: int = Field(default=300_000, ge=100)
    """The same, for the validation and the test part each."""

    @model_validator(mode="after")
    def _columns_fit_the_kind(self) -> Split:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must sum to less than 1")
        if (self.kind == "time") != bool(self.time_column):
            raise ValueError("time_column goes with kind time, and only with it")
        if self.group_columns and self.kind != "group":
            raise ValueError("group_columns goes with kind group")
        return self


class Range(Frozen):
    """Values to search between: low to high, drawn evenly or evenly on a log scale."""

    low: float
    """Least value."""
    high: float
    """Greatest value."""
    log: bool = False
    """Draw evenly on a log scale."""
    integer: bool = False
    """Draw whole numbers."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be under high, and above 0 where log is true")
        return self


class Candidate(Frozen):
    """One model to try."""

    estimator: str
    """A short name (see the guide on candidates) or a class below `sklearn.`."""
    params: dict[str, Value] = Field(default_factory=dict)
    """Fixed parameters of the estimator, by its own names."""
    search: dict[str, tuple[Value, ...] | Range] = Field(default_factory=dict)
    """Parameters to search: a list of values, or `low`, `high`, `log`, `integer`."""
    n_trials: int = Field(default=8, ge=1)
    """How many settings are drawn where something is searched."""
    impute: Literal["median", "none"] | None = None
    """How missing numbers are filled; each estimator has its own default."""
    scale: Literal["robust", "standard", "none"] | None = None
    """How numbers are scaled; each estimator has its own default."""
    encode: Literal["onehot", "codes"] | None = None
    """How categories become numbers; each estimator has its own default."""
    resample: Literal["none", "smote_tomek", "smote_enn", "class_weight"] = "none"
    """What is done about rare classes, in training folds only."""
    members: dict[str, Candidate] = Field(default_factory=dict)
    """The first floor of a stack: its candidates by name."""
    final: Candidate | None = None
    """The candidate that answers from what the members say."""

    @model_validator(mode="after")
    def _stacking_is_whole(self) -> Candidate:
        is_stack = self.estimator == "stacking"
        if bool(self.members) != is_stack or (self.final is not None) != is_stack:
            raise ValueError("members and final go with estimator stacking, and only with it")
        return self


class Search(Frozen):
    """How candidates are compared: cross-validation on at most `max_rows` training rows."""

    metric: str
    """What the best candidate is best at."""
    folds: int = Field(default=3, ge=2, le=20)
    """Of the cross-validation."""
    max_rows: int = Field(default=60_000, ge=100)
    """Of a larger training part so many rows are drawn for the comparison."""


class Cost(Frozen):
    """What a wrong answer costs, in any unit."""

    false_positive: float = Field(gt=0)
    """Of a row that is called positive and is not."""
    false_negative: float = Field(gt=0)
    """Of a positive row that is missed."""


class Threshold(Frozen):
    """From which probability the positive class is said."""

    aim: Literal["f1", "cost", "top_share"] = "f1"
    """The highest expected F1, the least expected cost, or a share of the rows."""
    cost: Cost | None = None
    """What mistakes cost, for aim cost."""
    share: Share | None = None
    """The share of rows that may be called positive, for aim top_share."""

    @model_validator(mode="after")
    def _aim_has_its_number(self) -> Threshold:
        if (self.aim == "cost") != (self.cost is not None):
            raise ValueError("cost goes with aim cost, and only with it")
        if (self.aim == "top_share") != (self.share is not None):
            raise ValueError("share goes with aim top_share, and only with it")
        return self


class DecisionConfig(Frozen):
    """What is fitted on the validation part after the model."""

    calibration: Literal["none", "sigmoid", "isotonic"] = "none"
    """How scores become probabilities that mean what they say; binary only."""
    threshold: Threshold = Threshold()
    """From which probability the positive class is said; binary only."""
    interval_level: Share = 0.9
    """Share of new rows that a regression's interval is made to hold."""


class Evaluation(Frozen):
    """What is measured on the test part."""

    slices: tuple[str, ...] = ()
    """Columns, derived ones too, by whose values the test rows are measured apart."""
    min_slice_rows: int = Field(default=50, ge=1)
    """A slice with fewer test rows is left out."""
    extreme_error: float | None = Field(default=None, gt=0)
    """A regression's miss from which a row counts as extreme: gates read the share."""
    bootstrap: int = Field(default=200, ge=20, le=10_000)
    """How many resamples the 95 % intervals come from."""
    resampling_rows: int = Field(default=20_000, ge=100, le=20_000)
    """On at most so many training rows the effect of resampling is measured."""


class Gate(Frozen):
    """One limit. A version must hold it to be named by `alias`, and by what comes after."""

    metric: str
    """One of the task's metrics, or `latency_ms`, `parity_share`, `label_disagreement_share`."""
    min: float | None = None
    """The least value that holds; a gate has this or `max`."""
    max: float | None = None
    """The greatest value that holds."""
    bound: Literal["value", "low", "high"] = "value"
    """What must hold the limit: the value, or the low or high end of its interval."""
    severity: Severity = "block"
    """Whether the version is refused, or the gate only says so."""
    alias: Literal["staging", "production"] = "staging"
    """The first alias that asks for it."""

    @model_validator(mode="after")
    def _one_limit(self) -> Gate:
        if (self.min is None) == (self.max is None):
            raise ValueError(f"the gate on {self.metric} needs either min or max")
        return self


class Leaks(Frozen):
    """What the leak audit does about each rule; `off` does not look."""

    equals_target: LeakAction = "block"
    """A column is the target, perhaps under other names or turned round."""
    determines_target: LeakAction = "block"
    """A column's values fix the target."""
    sums_to_target: LeakAction = "block"
    """The target is a sum or difference of two columns."""
    single_column: LeakAction = "block"
    """One column alone answers better than `max_single_score`."""
    id_like: LeakAction = "warn"
    """A column has another value in almost every row."""
    duplicates_across_split: LeakAction = "warn"
    """Rows of the test part stand in the training part."""
    known_after_outcome: LeakAction = "block"
    """A column of `after_outcome` is an input."""
    missing_follows_target: LeakAction = "warn"
    """Whether a column is missing tells the target."""
    time_order: LeakAction = "warn"
    """A random split of rows in time answers better than one by time."""
    after_outcome: tuple[str, ...] = ()
    """Columns whose value is known only after the outcome."""
    expected: tuple[str, ...] = ()
    """Columns that may answer alone, because somebody has looked."""
    max_single_score: Share = 0.99
    """ROC AUC, or R² for regression."""


class Promotion(Frozen):
    """What a challenger must show against the champion, and how far it goes by itself."""

    metric: str = ""
    """What champion and challenger are compared by; the search metric where it is empty."""
    min_gain: float = Field(default=0.0, ge=0)
    """The least gain, in the metric's unit; the low end of its interval must be above 0 too."""
    max_slice_loss: float | None = Field(default=None, gt=0)
    """The most that may be lost on any slice; not limited where it is null."""
    carries_to: Alias = "production"
    """The last alias that training itself moves; further ones are moved by hand."""
