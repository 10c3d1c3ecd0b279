"""A problem's YAML is taken whole, or refused with the key, the value and the fix."""

import copy
import json
from pathlib import Path

import pytest

from tabular.errors import ConfigError
from tabular.problem import load_problem, problem_names
from tabular.settings import LOWER_IS_BETTER, METRICS, SEARCH_METRICS

PROBLEMS = Path(__file__).parents[2] / "configs" / "problems"
BASE = {
    "title": "T",
    "task": "binary",
    "source": {"kind": "csv", "path": "a.csv"},
    "target": {"column": "y", "classes": {"no": 0, "yes": 1}, "positive": "yes"},
    "columns": {
        "age": {"type": "number", "min": 0},
        "city": {"type": "category"},
        "note": {"type": "ignore"},
        "day": {"type": "date"},
        # Named like keys of a column, which a location must not follow.
        "unit": {"type": "number"},
    },
    "derive": {"weekday": {"function": "day_of_week", "inputs": ["day"]}},
    "split": {"kind": "stratified"},
    "search": {"metric": "roc_auc"},
    "candidates": {"model": {"estimator": "lightgbm"}},
    "gates": [{"metric": "roc_auc", "min": 0.8}],
}
REGRESSION = {
    "task": "regression",
    "target": {"column": "y"},
    "search.metric": "mae",
    "split.kind": "random",
    "gates": [{"metric": "mae", "max": 3}],
}
MULTICLASS = {
    "task": "multiclass",
    "target": {"column": "y", "classes": {"a": 1, "b": 2, "c": 3}},
    "search.metric": "accuracy",
    "gates": [{"metric": "accuracy", "min": 0.5}],
}
STACK = {"estimator": "stacking", "members": {"a": {"estimator": "ridge"}}}


def load(folder, changes):
    """Load BASE (JSON is YAML) with values set at dotted places; None takes a key away."""
    raw = copy.deepcopy(BASE)
    for place, value in changes.items():
        part = raw
        *outer, last = place.split(".")
        for key in outer:
            part = part.setdefault(key, {})
        part[last] = value
        if value is None:
            del part[last]
    (folder / "demo.yaml").write_text(json.dumps(raw))
    return load_problem("demo", folder)


@pytest.mark.parametrize("changes", [{}, REGRESSION, MULTICLASS])
def test_a_good_problem_is_loaded(tmp_path, changes):
    problem = load(tmp_path, changes)
    assert problem.name == "demo"
    assert problem.seed == 42
    assert list(problem.contract.columns) == ["age", "city", "note", "day", "unit"]
    assert set(problem.contract.inputs()) == {"age", "city", "day", "unit"}


@pytest.mark.parametrize(
    ("place", "value", "part"),
    [
        ("sede", 1, r"sede is not a known key \(did you mean 'seed'\?\); allowed here: title"),
        ("split.test_shar", 0.2, r"split\.test_shar is not .*did you mean 'test_share'"),
        ("columns.age.mim", 0, r"columns\.age\.mim is not .*did you mean 'min'"),
        ("columns.unit.typ", "x", r"columns\.unit\.typ is not .*did you mean 'type'"),
        ("candidates.model.parms", {}, r"candidates\.model\.parms is not .*'params'"),
        ("candidates.search", {"estimater": "x"}, r"estimater is not .*did you mean 'estimator'"),
        ("candidates.model.search", {"C": {"lo": 1, "high": 2}}, r"search\.C\.lo .*mean 'low'"),
        ("gates", [{"metrc": "f1", "min": 1}], r"gates\.0\.metrc is not .*did you mean 'metric'"),
        ("decision.threshold.aims", "f1", r"aims is not .*allowed here: aim, cost, share"),
        ("derive.weekday.input", [], r"derive\.weekday\.input is not .*did you mean 'inputs'"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(tmp_path, place, value, part):
    with pytest.raises(ConfigError, match=r"demo\.yaml: .*" + part):
        load(tmp_path, {place: value})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"target": None}, r"target is missing; add it"),
        ({"task": "binery"}, r"task: .*got 'binery' \(did you mean 'binary'\?\)"),
        ({"columns.age.type": "nummber"}, r"columns\.age\.type: .*did you mean 'number'"),
        ({"columns.age.max": -5}, r"columns\.age: min must be at most max, got min 0 and max -5"),
        ({"columns.city.min": 1}, r"min is for type number, got type category"),
        ({"columns.city.categories": [False]}, r"got False; put it in quotes"),
        ({"split.test_share": 20}, r"got 20\. Write 0\.2 for 20 percent\."),
        (
            {"split": {"kind": "random", "test_share": 0.6, "validation_share": 0.4}},
            r"sum to less than 1",
        ),
        ({"split.kind": "time"}, r"time_column goes with kind time"),
        ({"split.time_column": "day"}, r"time_column goes with kind time"),
        ({"split": {"kind": "time", "time_column": "age"}}, r"must be a column of type date"),
        ({"split": {"kind": "time", "time_column": "dya"}}, r"'dya' .*did you mean 'day'"),
        ({"split.group_columns": ["city"]}, r"group_columns goes with kind group"),
        ({"split": {"kind": "group", "group_columns": ["cty"]}}, r"'cty' .*did you mean 'city'"),
        ({"split": {"kind": "group", "group_columns": ["note"]}}, r"'note' has type ignore"),
        ({"source.path": ""}, r"path is needed for kind csv"),
        ({"candidates.model.search": {"C": 5}}, r"search\.C: .*got 5; write a list in brackets"),
        (
            {"candidates.model.search": {"C": {"low": 3, "high": 2}}},
            r"search\.C: low must be under high",
        ),
        (
            {"candidates.model.search": {"C": {"low": 0, "high": 2, "log": True}}},
            r"above 0 where log is true",
        ),
        ({"candidates.model": STACK}, r"members and final go with estimator stacking"),
        ({"candidates.model.final": {"estimator": "ridge"}}, r"members and final go with"),
        ({"decision.threshold": {"aim": "cost"}}, r"cost goes with aim cost"),
        ({"decision.threshold": {"aim": "top_share"}}, r"share goes with aim top_share"),
        ({"decision.threshold": {"share": 0.1}}, r"share goes with aim top_share"),
        ({"gates": [{"metric": "roc_auc"}]}, r"gate on roc_auc needs either min or max"),
        ({"gates": [{"metric": "f1", "min": 0, "max": 1}]}, r"needs either min or max"),
        ({"gates": [{"metric": "roc_auk", "min": 1}]}, r"'roc_auk' .*did you mean 'roc_auc'"),
        ({"gates": [{"metric": "extreme_error_share", "max": 1}]}, r"'extreme_error_share' is not"),
        ({"gates": []}, r"gates: .*at least 1 item"),
        ({"evaluation.extreme_error": 5}, r"extreme_error is for task regression"),
        ({"evaluation.slices": ["weekdy"]}, r"'weekdy' .*did you mean 'weekday'"),
        ({"evaluation.slices": ["note"]}, r"evaluation\.slices 'note' has type ignore"),
        ({"target.column": "age"}, r"'age' stands in columns too; take it out"),
        ({"target.column": "weekday"}, r"derive\.weekday has the name of the target"),
        ({"columns.age.also_named": ["y"]}, r"columns\.age\.also_named 'y' is another column"),
        ({"columns.age.also_named": ["city"]}, r"also_named 'city' is another column"),
        ({"target.positive": "maybe"}, r"two target\.classes, and target\.positive one of them"),
        ({"target.classes": {"no": 0, "yes": "0.0"}}, r"the same raw value to two classes"),
        ({"search.metric": "mae"}, r"search\.metric 'mae' is not known.*allowed: roc_auc"),
        ({**REGRESSION, "split.kind": "stratified"}, r"stratified needs classes; write random"),
        ({**REGRESSION, "target": BASE["target"]}, r"classes and .*positive are for class"),
        ({**MULTICLASS, "decision.calibration": "sigmoid"}, r"calibration is for task binary"),
        ({**MULTICLASS, "target": BASE["target"]}, r"multiclass needs three or more"),
        ({"derive.weekday.function": "day_of_weak"}, r"derive\.weekday.*mean 'day_of_week'"),
    ],
)
def test_a_contradiction_is_refused(tmp_path, changes, part):
    with pytest.raises(ConfigError, match=r"demo\.yaml: .*" + part):
        load(tmp_path, changes)


def test_an_unknown_problem_is_refused_with_the_nearest(tmp_path):
    load(tmp_path, {})
    with pytest.raises(ConfigError, match=r"no problem 'dmeo' \(did you mean 'demo'\?\).*has demo"):
        load_problem("dmeo", tmp_path)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"title: [1", r"line 1: this is not YAML"),
        (b"a: 1\nb: 2: 3\n", r"line 2: this is not YAML \(mapping values"),
        (b"\xff\xfe\x00", r"not YAML"),
        (b"- 1\n- 2\n", r"expected keys and values, got list"),
        (b"", r"expected keys and values, got NoneType"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path, text, part):
    (tmp_path / "demo.yaml").write_bytes(text)
    with pytest.raises(ConfigError, match=r"demo\.yaml: ?.*" + part):
        load_problem("demo", tmp_path)


def test_a_problem_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path, {}).seed = 1


def test_only_blanks_every_other_part(tmp_path):
    problem = load(tmp_path, {})
    part = problem.only("split")
    assert part.split == problem.split
    assert part.target == problem.target
    assert part == load(tmp_path, {"gates": [{"metric": "f1", "min": 0.1}]}).only("split")
    assert part != load(tmp_path, {"split.test_share": 0.3}).only("split")


def test_search_metrics_can_be_measured_and_directions_name_metrics():
    for task, names in SEARCH_METRICS.items():
        assert set(names) <= set(METRICS[task])
    assert {name for names in METRICS.values() for name in names} >= LOWER_IS_BETTER - {
        "extreme_error_share"
    }


@pytest.mark.parametrize("name", problem_names(PROBLEMS))
def test_the_problems_of_the_project_load_and_compare_two_models_or_more(name):
    problem = load_problem(name, PROBLEMS)
    assert len(problem.candidates) >= 2
    assert any(gate.severity == "block" for gate in problem.gates)
