"""POST /predict: from the body's bytes to the answer's, within the limits of the problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import orjson

from service.answers import answer_good_records, answer_record, answer_records
from service.bodies import (
    CSV_TYPE,
    FORM_TYPE,
    Table,
    media_type,
    parse_json,
    read_csv,
    read_json,
    uploaded_file,
)
from service.errors import RETRY_AFTER, RequestError
from service.http import Answer, Request
from service.intake import Intake
from service.live import Live, Model
from service.log_rows import Entry
from service.many_answers import Answers, RowAnswer
from service.metrics import Metrics
from service.prediction_log import PredictionLog

# More work than this goes to a thread, so that single rows and health checks need not wait for it.
INLINE_BYTES = 65_536
N_THREADS = 2


class Predict:
    """The hot route of one worker."""

    def __init__(self, live: Live, metrics: Metrics, log: PredictionLog) -> None:
        self._live = live
        self._metrics = metrics
        self._log = log
        self._intake = Intake()
        self._threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix="predict")

    async def __call__(self, request: Request) -> Answer:
        """Answer a record by an object and a list by a list.

        Raises:
            RequestError: There is no model, or the request is refused.
            DisconnectedError: The client left.
        """
        model = self.model()
        kind = media_type(request)
        is_partial = _is_partial(request)
        body = await self._intake.read(request, model.serving)
        if kind == FORM_TYPE:
            body, kind = await uploaded_file(request, body), CSV_TYPE
        work = partial(_answered, model, request.id, body, kind, is_partial)
        if len(body) > INLINE_BYTES or kind == CSV_TYPE:
            answered = await self._in_thread(work, model)
        else:
            answered = work()
        self._note(model, request.id, answered)
        return Answer(200, answered.body)

    def model(self) -> Model:
        """The model that serves.

        Raises:
            RequestError: There is none; the reason is told.
        """
        model = self._live.model
        if model is None:
            raise RequestError(
                503, "no_model", f"no model serves: {self._live.reason}.", headers=(RETRY_AFTER,)
            )
        return model

    async def _in_thread(self, work: Callable[[], Answered], model: Model) -> Answered:
        with self._intake.slot(model.serving):
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
            try:
                return await asyncio.wait_for(running, model.serving.timeout_s)
            except TimeoutError as error:
                raise RequestError(
                    503,
                    "timeout",
                    f"no answer within {model.serving.timeout_s:g} s; send fewer rows at a time.",
                    headers=(RETRY_AFTER,),
                ) from error

    def _note(self, model: Model, request_id: str, answered: Answered) -> None:
        self._metrics.rows(answered.answers)
        if answered.missing:
            self._metrics.missing(answered.missing)
        self._log.put(
            Entry(time.time(), request_id, model, answered.records, answered.answers, model.version)
        )


class Answered(NamedTuple):
    """Records, their answers, the body that says them, and by column the rows that lack a value."""

    records: Sequence[Any]
    answers: Sequence[RowAnswer]
    body: bytes
    missing: dict[str, int]


def _answered(
    model: Model, request_id: str, body: bytes, kind: bytes, is_partial: bool
) -> Answered:
    if kind == CSV_TYPE:
        table = read_csv(body, model.predictor.contract.columns, model.serving)
    else:
        table = read_json(parse_json(body), model.predictor.input_names, model.serving)
    missing: dict[str, int] = {}
    answers = _answers(model, table, request_id, missing, is_partial=is_partial)
    if isinstance(answers, Answers):
        body = answers.body()
    else:
        body = orjson.dumps(answers[0] if table.is_single else answers)
    return Answered(table.records, answers, body, missing)


def _answers(
    model: Model, table: Table, request_id: str, missing: dict[str, int], *, is_partial: bool
) -> Sequence[RowAnswer]:
    if table.is_single:
        return [answer_record(model, table.records[0], request_id, missing)]
    if is_partial:
        return answer_good_records(model, table.records, request_id, missing)
    return answer_records(model, table.records, request_id, missing)


def _is_partial(request: Request) -> bool:
    text = request.flag("partial").lower()
    if text not in ("", "true", "1", "false", "0"):
        raise RequestError(400, "bad_query", f"partial must be true or false, got '{text[:60]}'.")
    return text in ("true", "1")
