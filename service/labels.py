"""POST /labels: what turned out to be true of answered rows, for who has the token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from service.bodies import JSON_TYPE, check_rows, media_type, parse_json
from service.errors import MAX_DETAILS, RETRY_AFTER, RequestError
from service.http import Answer, Request, Route, json_answer
from service.intake import Intake
from service.live import Model, public_reason
from service.prediction_log import PredictionLog
from service.tokens import check_token
from tabular.contract import Column
from tabular.errors import StoreError
from tabular.prediction_log.outcomes import Label, LabelError, LabelReader


class Labels:
    """Takes outcomes into the log; whether their rows were answered is seen at the join."""

    def __init__(self, require_model: Callable[[], Model], log: PredictionLog, token: str) -> None:
        self._require_model = require_model
        self._log = log
        self._token = token.encode()
        self._intake = Intake()

    def routes(self) -> dict[str, Route]:
        """None without a token, or where nothing is logged."""
        if not self._token or not self._log.is_on:
            return {}
        return {"/labels": Route("labels", {"POST": self.take})}

    async def take(self, request: Request) -> Answer:
        """Keep the good ones and name the others, by their place from 0.

        Raises:
            RequestError: No or another token, no label at all that is good, or the log does not
                take them now.
            DisconnectedError: The client left.
        """
        check_token(self._token, request)
        model = self._require_model()
        if media_type(request) != JSON_TYPE:
            raise RequestError(415, "unsupported_media_type", "labels are application/json.")
        given = _list(parse_json(await self._intake.read(request, model.serving)))
        check_rows(len(given), model.serving)
        labels, refused = _read(reader_of(model), given)
        self._log.metrics.labels.labels("refused").inc(len(refused))
        if not labels:
            raise RequestError(422, "labels", f"no label can be taken; the first: {refused[0]}.")
        await self._keep(labels)
        self._log.metrics.labels.labels("taken").inc(len(labels))
        content = {
            "taken": len(labels),
            "refused": len(refused),
            "details": refused[:MAX_DETAILS],
            "request_id": request.id,
        }
        return json_answer(content)

    async def _keep(self, labels: list[Label]) -> None:
        try:
            await asyncio.to_thread(self._log.write_labels, labels)
        except StoreError as error:
            raise RequestError(
                503,
                "log",
                f"the log does not take labels now: {public_reason(error)}",
                headers=(RETRY_AFTER,),
            ) from error


def reader_of(model: Model) -> LabelReader:
    """The reader for the target of the version that serves.

    A bundle that does not say the raw values of its classes takes their names.
    """
    bundle = model.predictor.bundle
    target: Mapping[str, Any] = bundle.manifest.get("target") or {}
    names = model.predictor.decision.classes
    return LabelReader(
        str(target.get("column", "")),
        target.get("classes") or {name: name for name in names},
        (target.get("min"), target.get("max")),
        bundle.contract.contract.tokens(Column(type="number")),
    )


def _list(payload: Any) -> list[Any]:
    return payload if isinstance(payload, list) else [payload]


def _read(reader: LabelReader, given: list[Any]) -> tuple[list[Label], list[str]]:
    now = datetime.now(UTC)
    labels, refused = [], []
    for place, one in enumerate(given):
        try:
            labels.append(reader.read(one, now))
        except LabelError as error:
            refused.append(f"label {place}: {error}")
    return labels, refused
