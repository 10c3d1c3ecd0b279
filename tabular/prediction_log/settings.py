"""The `log` part of a problem's YAML: what of a request the prediction log keeps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tabular.contract import Frozen


class LogConfig(Frozen):
    """How answers are logged, and where `--labels mongodb` finds outcomes.

    A document of outcomes has request_id, the outcome under the target's name or `outcome`, and may
    have row and at.
    """

    sensitive: Literal["hash", "omit"] = "hash"
    """Of columns marked so: a keyed hash, by which equal values can be told, or nothing."""
    labels_collection: str = Field(default="", max_length=120)
    """The collection of outcomes, in the source's database."""
