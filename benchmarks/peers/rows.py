"""The row of the insurance problem as a pydantic model, and its answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field

MODEL = Path(os.environ["PEER_MODEL"])
CODES = json.loads((MODEL / "codes.json").read_text())


class Row(BaseModel):
    """One customer."""

    Gender: Literal["Female", "Male"] | None
    Age: float = Field(ge=18, le=100)
    Driving_License: float | None = Field(ge=0, le=1)
    Region_Code: str | None
    Previously_Insured: float = Field(ge=0, le=1)
    Vehicle_Age: Literal["< 1 Year", "1-2 Year", "> 2 Years"] | None
    Vehicle_Damage: Literal["No", "Yes"] | None
    Annual_Premium: float | None = Field(ge=0, le=1_000_000)
    Policy_Sales_Channel: str | None
    Vintage: float | None = Field(ge=0, le=3650)


class Answer(BaseModel):
    """What is answered to one row."""

    prediction: str
    probability: float


def decide(raw: np.ndarray) -> list[tuple[str, float]]:
    """Label and calibrated probability of n raw probabilities of the positive class."""
    odds = np.log(raw / (1 - raw))
    shares = 1 / (1 + np.exp(-(CODES["slope"] * odds + CODES["intercept"])))
    positive, negative = CODES["positive"], CODES["negative"]
    is_positive = shares >= CODES["threshold"]
    return [
        (positive if yes else negative, share)
        for yes, share in zip(is_positive.tolist(), shares.tolist(), strict=True)
    ]
