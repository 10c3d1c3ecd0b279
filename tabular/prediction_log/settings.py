"""The `log` part of a problem's YAML: what of a request the prediction log keeps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tabular.contract import Frozen


class LogConfig(Frozen):
    """How answers are logged, and where `--labels mongodb` finds outcomes.

    `sensitive` is for columns marked so: `hash` keeps a keyed hash, so that equal values can be
    told, `omit` nothing. A document of `labels_collection` (in the source's database) has
    request_id, the outcome under the target's name or `outcome`, and may have row and at.
    """

    sensitive: Literal["hash", "omit"] = "hash"
    labels_collection: str = Field(default="", max_length=120)
