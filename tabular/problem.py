"""The typed problem config: everything that a user edits, loaded and refused here.

One YAML file per problem. Each part is a frozen model of its own, so that a step can be given only
the part that it needs and its cache stays right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tabular.contract import Column, Contract, Derivation, Frozen, category_text
from tabular.drift.settings import Monitor, Retrain
from tabular.errors import ConfigError, did_you_mean
from tabular.features import check_derivations
from tabular.prediction_log.settings import LogConfig
from tabular.serving import Serving
from tabular.settings import (
    GATE_FACTS,
    METRICS,
    SEARCH_METRICS,
    Candidate,
    DecisionConfig,
    Evaluation,
    Gate,
    Leaks,
    Promotion,
    Search,
    Source,
    Split,
    Target,
    Task,
)


class Problem(Frozen):
    """One problem: the whole of its YAML file."""

    name: str
    title: str
    """For people: cards, pages, the dashboard."""
    task: Task
    """What the target is."""
    seed: int = Field(default=42, ge=0, le=2**31)
    """Drives every random choice of the models."""
    source: Source
    """Where rows come from."""
    target: Target
    """What is predicted."""
    columns: dict[str, Column] = Field(min_length=1)
    """What each other column of the table holds, by name."""
    derive: dict[str, Derivation] = Field(default_factory=dict)
    """Columns that are made from others, by name."""
    missing_values: tuple[str, ...] = Contract.model_fields["missing_values"].default
    """Texts that stand for a missing value, whatever their case."""
    max_refused_share: float = Field(default=0.01, ge=0, le=1)
    """More refused rows than this stop the run."""
    split: Split
    """How rows are parted."""
    search: Search
    """How candidates are compared."""
    candidates: dict[str, Candidate] = Field(min_length=1)
    """The models to try, by a name of yours."""
    decision: DecisionConfig = DecisionConfig()
    """What is fitted after the model."""
    evaluation: Evaluation = Evaluation()
    """What is measured."""
    leaks: Leaks = Leaks()
    """What the leak audit does."""
    gates: tuple[Gate, ...] = Field(min_length=1)
    """Limits that the bundle must hold."""
    promotion: Promotion = Promotion()
    """What a challenger must show."""
    serving: Serving = Serving()
    """How the service answers."""
    log: LogConfig = LogConfig()
    """What is kept of each answer."""
    monitor: Monitor = Monitor()
    """How answered rows are held against training rows."""
    retrain: Retrain = Retrain()
    """When `--monitor --retrain` trains."""

    @property
    def contract(self) -> Contract:
        """The columns part, as the contract that training and serving share."""
        # The parts are checked by now; to check them again for each of 5,000 columns takes minutes.
        return Contract.model_construct(
            columns=self.columns,
            derive=self.derive,
            missing_values=self.missing_values,
            max_refused_share=self.max_refused_share,
        )

    def only(self, *parts: str) -> Problem:
        """The problem with every part blanked that is not named, so that it cannot be read.

        A step that gets `problem.only("split")` keeps its cached result when gates are edited.
        Name, task, seed, target, columns and derivations always stay.
        """
        blank = {
            "title": "",
            "source": Source(kind="csv", path="-"),
            "max_refused_share": 0.0,
            "split": Split(kind="random"),
            "search": Search(metric=SEARCH_METRICS[self.task][0]),
            "candidates": {"blank": Candidate(estimator="blank")},
            "decision": DecisionConfig(),
            "evaluation": Evaluation(),
            "leaks": Leaks(),
            "promotion": Promotion(),
            "serving": Serving(),
            "log": LogConfig(),
            "gates": (Gate(metric="latency_ms", max=0),),
        }
        return self.model_copy(update={k: v for k, v in blank.items() if k not in parts})

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """No word of the parts: ZenML would describe them all anew for each step, 1 s of CPU."""
        return {"type": "object", "title": cls.__name__}

    @model_validator(mode="after")
    def _parts_agree(self) -> Problem:
        _check_target(self)
        _check_names(self)
        allowed = (*METRICS[self.task], *GATE_FACTS)
        if self.evaluation.extreme_error is not None:
            if self.task != "regression":
                raise ValueError("evaluation.extreme_error is for task regression")
            allowed = (*allowed, "extreme_error_share")
        for gate in self.gates:
            if gate.metric not in allowed:
                raise ValueError(_unknown("gates.metric", gate.metric, allowed))
        return self


def _unknown(place: str, name: str, allowed: tuple[str, ...]) -> str:
    return (
        f"{place} '{name}' is not known{did_you_mean(name, allowed)}; allowed: {', '.join(allowed)}"
    )


def _check_target(problem: Problem) -> None:
    target, task = problem.target, problem.task
    if target.column in problem.columns:
        raise ValueError(
            f"target.column '{target.column}' stands in columns too; take it out there"
        )
    if target.column in problem.derive:
        raise ValueError(f"derive.{target.column} has the name of the target; choose another name")
    if len(set(map(category_text, target.classes.values()))) < len(target.classes):
        raise ValueError("target.classes gives the same raw value to two classes")
    if task == "regression" and (target.classes or target.positive or target.aliases):
        raise ValueError(
            "target.aliases, target.classes and target.positive are for classification"
        )
    if task != "regression" and not target.is_plain:
        raise ValueError("target.decimal, .thousands and .affixes are for task regression")
    raw_values = [*map(category_text, target.classes.values())]
    if unknown := [value for value in target.aliases.values() if value not in raw_values]:
        raise ValueError(_unknown("target.aliases", unknown[0], tuple(raw_values)))
    if task == "binary" and (len(target.classes) != 2 or target.positive not in target.classes):
        raise ValueError("task binary needs two target.classes, and target.positive one of them")
    if task == "multiclass" and (len(target.classes) < 3 or target.positive):
        raise ValueError("task multiclass needs three or more target.classes and no positive")
    if task == "multiclass" and problem.decision.calibration != "none":
        raise ValueError("decision.calibration is for task binary")
    if problem.search.metric not in SEARCH_METRICS[task]:
        raise ValueError(_unknown("search.metric", problem.search.metric, SEARCH_METRICS[task]))
    metric = problem.promotion.metric
    if metric and metric not in SEARCH_METRICS[task]:
        raise ValueError(_unknown("promotion.metric", metric, SEARCH_METRICS[task]))


def _check_names(problem: Problem) -> None:
    columns = tuple(problem.columns)
    named = {
        "split.group_columns": problem.split.group_columns,
        "split.time_column": (problem.split.time_column,) if problem.split.time_column else (),
        "source.key": problem.source.key,
    }
    for place, names in named.items():
        for name in names:
            if name not in columns:
                raise ValueError(_unknown(place, name, columns))
    for name in problem.leaks.after_outcome:  # of type ignore too: that is how one is taken out
        if name not in columns:
            raise ValueError(_unknown("leaks.after_outcome", name, columns))
    for name in problem.leaks.expected:
        if name not in (*columns, *problem.derive):
            raise ValueError(_unknown("leaks.expected", name, (*columns, *problem.derive)))
    for name in problem.evaluation.slices:
        if name not in (*columns, *problem.derive):
            raise ValueError(_unknown("evaluation.slices", name, (*columns, *problem.derive)))
    named["evaluation.slices"] = problem.evaluation.slices
    for place, names in named.items():
        for name in names:
            if name in columns and problem.columns[name].type == "ignore":
                raise ValueError(f"{place} '{name}' has type ignore; give the column another type")
    for name, column in problem.columns.items():
        for other in column.also_named:
            if other in (*columns, problem.target.column):
                raise ValueError(
                    f"columns.{name}.also_named '{other}' is another column; take it out there"
                )
    if (
        problem.split.time_column
        and columns
        and (problem.columns[problem.split.time_column].type != "date")
    ):
        raise ValueError("split.time_column must be a column of type date")
    if problem.split.kind == "stratified" and problem.task == "regression":
        raise ValueError("split.kind stratified needs classes; write random for task regression")


def problem_names(folder: Path) -> list[str]:
    """Names of the problems in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_problem(name: str, folder: Path) -> Problem:
    """Read and check `folder/NAME.yaml`.

    Raises:
        ConfigError: No such problem (the nearest name is given), not YAML, or the first thing in it
            that is wrong: file, key, value, what is allowed.
    """
    path = folder / f"{name}.yaml"
    names = problem_names(folder)
    if name not in names:
        raise ConfigError(
            f"--problem: there is no problem '{name}'{did_you_mean(name, names)}; "
            f"{folder} has {', '.join(names) or 'none'}."
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" line {place.line + 1}:" if place else ""
        reason = getattr(error, "problem", None) or "not UTF-8 text"
        raise ConfigError(f"{path}:{line} this is not YAML ({reason}); mend that line.") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(raw).__name__}.")
    try:
        problem = Problem.model_validate({"name": name, **raw})
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error)}") from error
    check_derivations(problem.contract, where=str(path))
    return problem


# How pydantic writes the two forms that `search` values may have into an error's location.
UNION_LABELS = ("tuple[", "function-after[")


def _sentence(error: ValidationError) -> str:
    first = min(error.errors(), key=_rank)
    loc = tuple(p for p in first["loc"] if not str(p).startswith(UNION_LABELS) and p != "[key]")
    place = ".".join(map(str, loc))
    if first["type"] == "extra_forbidden":
        allowed = _keys_at(loc[:-1])
        return (
            f"{place} is not a known key{did_you_mean(str(loc[-1]), allowed)}; "
            f"allowed here: {', '.join(allowed)}."
        )
    if first["type"] == "missing":
        return f"{place} is missing; add it."
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{place + ': ' if place else ''}{message}."
    value = first["input"]
    shown = f", got {value!r}" if isinstance(value, (str, int, float, bool, type(None))) else ""
    return f"{place}: {message[0].lower() + message[1:]}{shown}{_fix(first, place)}."


def _rank(error: Any) -> tuple[bool, bool]:
    """Unknown keys first; of the two forms of a `search` value, the one that was meant."""
    is_other_form = error["type"] == "tuple_type" and isinstance(error["input"], dict)
    return error["type"] != "extra_forbidden", is_other_form


def _fix(error: Any, place: str) -> str:
    value = error["input"]
    if error["type"] == "literal_error" and isinstance(value, str):
        expected = str(error["ctx"]["expected"]).replace(" or ", ", ").split(", ")
        return did_you_mean(value, [word.strip("'") for word in expected])
    if error["type"] == "string_type" and isinstance(value, (bool, int, float)):
        return "; put it in quotes (YAML reads a bare No as False)"
    if error["type"] == "tuple_type":
        return "; write a list in brackets"
    if isinstance(value, (int, float)) and place.endswith("share") and 1 < value <= 100:
        return f". Write {value / 100:g} for {value:g} percent"
    return ""


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """Follow a pydantic location to the model that it names, and return that model's keys."""
    model: Any = Problem
    is_key = False  # the part after a dict is a name that the user chose, such as a column's
    for part in loc:
        if not is_key and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            model = _inner_model(annotation)
            is_key = get_origin(annotation) is dict
        else:
            is_key = False
    return [key for key in model.model_fields if model is not Problem or key != "name"]


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _inner_model(argument):
            return found
    return None
