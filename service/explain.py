"""POST /explain: what moved the answer to one record, for the page and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson

from service.bodies import media_type, parse_json, read_json
from service.errors import RequestError, broken_contract
from service.http import JSON, Answer, Request
from service.intake import Intake
from service.live import Model
from tabular.contributions import explain
from tabular.errors import RecordsError
from tabular.records import TableReader

MAX_UNDER_WAY = 2


class Explain:
    """Explains one record a request; a few at a time, because each asks thousands of rows."""

    def __init__(self, model: Callable[[], Model]) -> None:
        self._model = model
        self._intake = Intake()
        self._free = asyncio.Semaphore(MAX_UNDER_WAY)

    async def __call__(self, request: Request) -> Answer:
        """Answer with the contribution of each column, and what they are measured against.

        Raises:
            RequestError: There is no model, or the request is not one record that it understands.
            DisconnectedError: The client left.
        """
        model = self._model()
        if media_type(request) != JSON:
            raise RequestError(
                415, "unsupported_media_type", "one record as application/json is explained here."
            )
        body = await self._intake.read(request, model.serving)
        async with self._free:
            return await asyncio.to_thread(_explained, model, body, request.id)


def _explained(model: Model, body: bytes, request_id: str) -> Answer:
    predictor = model.predictor
    table = read_json(parse_json(body), list(predictor.contract.inputs()), model.serving)
    if not table.is_single:
        raise RequestError(422, "one_record", "one record is explained at a time, got a list.")
    try:
        columns = TableReader(predictor.contract).read(table.records)
    except RecordsError as error:
        raise broken_contract(error) from error
    found = explain(predictor, columns, model.reference)
    content = {
        "label": found.label,
        "answer": found.answer,
        "reference_answer": found.reference_answer,
        "contributions": found.contributions,
        "model_version": model.version,
        "request_id": request_id,
    }
    return Answer(200, orjson.dumps(content))
