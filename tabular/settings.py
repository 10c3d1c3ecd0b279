"""The parts of a problem's YAML, each a frozen model of its own. `tabular.problem` joins them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tabular.contract import Frozen

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
    """Where the rows come from when no `--data` is given.

    For kind mongodb the server is named by MONGODB_URI, and `otherwise` is read where it is not
    set. `projection` maps a column to the field of a document that holds it, dots go deeper; a
    column that it leaves out is the field of its own name. `key` tells rows apart for `--load`.
    """

    kind: Literal["sample", "csv", "parquet", "sklearn", "mongodb"]
    path: str = ""
    rows: int = Field(default=20_000, ge=1)
    database: str = ""
    collection: str = ""
    query: dict[str, Any] = Field(default_factory=dict)
    projection: dict[str, str] = Field(default_factory=dict)
    key: tuple[str, ...] = ()
    otherwise: Source | None = None

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
        if self.otherwise is not None and self.otherwise.kind == "mongodb":
            raise ValueError("otherwise must name another kind than mongodb")
        return self


class Target(Frozen):
    """What is predicted. For classes, `classes` maps the name people read to the raw value."""

    column: str
    unit: str = ""
    description: str = ""
    classes: dict[str, str | int | float] = Field(default_factory=dict)
    positive: str = ""
    min: float | None = None
    max: float | None = None
    missing: Literal["refuse", "drop"] = "refuse"


class Split(Frozen):
    """How rows are parted. `group` keeps rows that agree in `group_columns` on one side.

    The parts are drawn with a seed of their own, so that models of another `seed` are judged on
    the same rows. Of a table with more rows, at most `max_train_rows` are trained on, and at most
    `max_test_rows` in each other part, drawn at random.
    """

    kind: Literal["random", "stratified", "time", "group"]
    test_share: Share = 0.2
    validation_share: Share = 0.1
    time_column: str = ""
    group_columns: tuple[str, ...] = ()
    seed: int = Field(default=42, ge=0, le=2**31)
    max_train_rows: int = Field(default=1_000_000, ge=100)
    max_test_rows: int = Field(default=300_000, ge=100)

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
    high: float
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("low must be under high, and above 0 where log is true")
        return self


class Candidate(Frozen):
    """One model to try. `estimator` is a short name or a class below `sklearn.`."""

    estimator: str
    params: dict[str, Value] = Field(default_factory=dict)
    search: dict[str, tuple[Value, ...] | Range] = Field(default_factory=dict)
    n_trials: int = Field(default=8, ge=1)
    impute: Literal["median", "none"] | None = None
    scale: Literal["robust", "standard", "none"] | None = None
    encode: Literal["onehot", "codes"] | None = None
    resample: Literal["none", "smote_tomek", "smote_enn", "class_weight"] = "none"
    members: dict[str, Candidate] = Field(default_factory=dict)
    final: Candidate | None = None

    @model_validator(mode="after")
    def _stacking_is_whole(self) -> Candidate:
        is_stack = self.estimator == "stacking"
        if bool(self.members) != is_stack or (self.final is not None) != is_stack:
            raise ValueError("members and final go with estimator stacking, and only with it")
        return self


class Search(Frozen):
    """How candidates are compared: cross-validation on at most `max_rows` training rows."""

    metric: str
    folds: int = Field(default=3, ge=2, le=20)
    max_rows: int = Field(default=60_000, ge=100)


class Cost(Frozen):
    """What a wrong answer costs, in any unit."""

    false_positive: float = Field(gt=0)
    false_negative: float = Field(gt=0)


class Threshold(Frozen):
    """From which probability the positive class is said."""

    aim: Literal["f1", "cost", "top_share"] = "f1"
    cost: Cost | None = None
    share: Share | None = None

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
    threshold: Threshold = Threshold()
    interval_level: Share = 0.9


class Evaluation(Frozen):
    """What is measured on the test part."""

    slices: tuple[str, ...] = ()
    min_slice_rows: int = Field(default=50, ge=1)
    extreme_error: float | None = Field(default=None, gt=0)
    bootstrap: int = Field(default=200, ge=20, le=10_000)
    resampling_rows: int = Field(default=20_000, ge=100, le=20_000)


class Gate(Frozen):
    """One limit. `bound` says whether the value or an end of its 95 % interval must hold it.

    A version must hold it to be named by `alias`, and by what comes after: staging, production.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    bound: Literal["value", "low", "high"] = "value"
    severity: Severity = "block"
    alias: Literal["staging", "production"] = "staging"

    @model_validator(mode="after")
    def _one_limit(self) -> Gate:
        if (self.min is None) == (self.max is None):
            raise ValueError(f"the gate on {self.metric} needs either min or max")
        return self


class Leaks(Frozen):
    """What the leak audit does about each rule; `off` does not look.

    `after_outcome` names columns whose value is known only after the outcome. `expected` names
    columns that may tell the target all but perfectly, because somebody has looked.
    """

    equals_target: LeakAction = "block"
    determines_target: LeakAction = "block"
    sums_to_target: LeakAction = "block"
    single_column: LeakAction = "block"
    id_like: LeakAction = "warn"
    duplicates_across_split: LeakAction = "warn"
    known_after_outcome: LeakAction = "block"
    missing_follows_target: LeakAction = "warn"
    time_order: LeakAction = "warn"
    after_outcome: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    max_single_score: Share = 0.99


class Promotion(Frozen):
    """What a challenger must show against the champion, and how far it goes by itself.

    `metric` is the search metric unless named. `min_gain` and `max_slice_loss` are in its unit.
    """

    metric: str = ""
    min_gain: float = Field(default=0.0, ge=0)
    max_slice_loss: float | None = Field(default=None, gt=0)
    carries_to: Alias = "production"
