"""What must vary in the rows before a model can learn from them, counted batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

import pandas as pd

from tabular.errors import DataError, listed
from tabular.problem import Problem


class Variety:
    """Rows, rows of each class, and which columns have shown two values."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.n_rows = 0
        self._classes: Counter[Hashable] = Counter()
        features = [name for name, column in problem.columns.items() if column.is_feature]
        self._values: dict[str, set[Any]] = {n: set() for n in (*features, problem.target.column)}

    def add(self, frame: pd.DataFrame) -> None:
        """Count (n, k) typed rows, target included."""
        self.n_rows += len(frame)
        if self.problem.task != "regression":
            self._classes.update(frame[self.problem.target.column].value_counts().to_dict())
        for name, values in self._values.items():
            if len(values) < 2:
                distinct = frame[name].drop_duplicates().head(2).tolist()
                values |= {None if value != value else value for value in distinct}

    def refuse_unlearnable(self) -> None:
        """Stop before fitting what cannot be fitted.

        Raises:
            DataError: No rows, one class only, a class with too few rows, or a constant feature.
        """
        problem, target = self.problem, self.problem.target
        least = 2 * (problem.search.folds + 2)
        if self.n_rows < least:
            raise DataError(
                f"{problem.name}: {self.n_rows} rows are too few; at least {least} are needed."
            )
        if problem.task == "regression":
            self._refuse_constant_target()
        names = list(target.classes)
        counts = {name: self._classes[place] for place, name in enumerate(names)}
        if few := [name for name in names if counts[name] < problem.search.folds + 2]:
            raise DataError(
                f"{problem.name}: the target '{target.column}' has {counts[few[0]]} rows of class "
                f"'{few[0]}' ({target.classes[few[0]]!r}); at least {problem.search.folds + 2} of "
                "each class are needed. Take more rows, or correct target.classes."
            )
        features = [name for name in self._values if name != target.column]
        if constant := [name for name in features if len(self._values[name]) == 1]:
            raise DataError(
                f"{problem.name}: {listed(constant)} hold one value in every row and tell a model "
                "nothing; set `type: ignore` for them in the problem's YAML."
            )

    def _refuse_constant_target(self) -> None:
        target = self.problem.target.column
        if len(self._values[target]) == 1:
            value = next(iter(self._values[target]))
            raise DataError(
                f"{self.problem.name}: the target '{target}' is {value:g} in every row; "
                "there is nothing to learn. Take rows with different outcomes."
            )
