"""POST /predict: from the body's bytes to the answer's, within the limits of the problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from service.answers import answer_good_records, answer_record, answer_records
from service.bodies import (
    CSV_TYPE,
    FORM_TYPE,
    Intake,
    Table,
    media_type,
    parse_json,
    read_csv,
    read_json,
    uploaded_file,
)
from service.errors import RETRY_AFTER, RequestError
from service.http import Answer, Request
from service.live import Live, Model
from service.metrics import Metrics
from service.prediction_log import Entry, PredictionLog

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
        if len(body) > INLINE_BYTES or kind == CSV_TYPE:
            return await self._in_thread(model, request, body, kind, is_partial)
        return self._answer(model, request.id, body, kind, is_partial)

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

    async def _in_thread(
        self, model: Model, request: Request, body: bytes, kind: bytes, is_partial: bool
    ) -> Answer:
        with self._intake.slot(model.serving):
            work = asyncio.get_running_loop().run_in_executor(
                self._threads, self._answer, model, request.id, body, kind, is_partial
            )
            try:
                return await asyncio.wait_for(work, model.serving.timeout_s)
            except TimeoutError as error:
                raise RequestError(
                    503,
                    "timeout",
                    f"no answer within {model.serving.timeout_s:g} s; send fewer rows at a time.",
                    headers=(RETRY_AFTER,),
                ) from error

    def _answer(
        self, model: Model, request_id: str, body: bytes, kind: bytes, is_partial: bool
    ) -> Answer:
        names = list(model.predictor.contract.inputs())
        if kind == CSV_TYPE:
            table = read_csv(body, model.predictor.contract.columns, model.serving)
        else:
            table = read_json(parse_json(body), names, model.serving)
        answers = _answers(model, table, request_id, is_partial)
        self._count(model, table.records, answers, request_id)
        return Answer(200, orjson.dumps(answers[0] if table.is_single else answers))

    def _count(
        self,
        model: Model,
        records: Sequence[Any],
        answers: list[dict[str, Any]],
        request_id: str,
    ) -> None:
        if len(answers) == 1 and "error" not in answers[0]:
            self._metrics.row(answers[0])
        else:
            self._metrics.rows(answers)
        dropped = self._log.n_dropped
        self._log.put(Entry(time.time(), request_id, model.version, records, answers))
        if self._log.n_dropped > dropped:
            self._metrics.log_dropped.inc(self._log.n_dropped - dropped)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _answers(model: Model, table: Table, request_id: str, is_partial: bool) -> list[dict[str, Any]]:
    if table.is_single:
        return [answer_record(model, table.records[0], request_id)]
    if is_partial:
        return answer_good_records(model, table.records, request_id)
    return answer_records(model, table.records, request_id)


def _is_partial(request: Request) -> bool:
    text = request.flag("partial").lower()
    if text not in ("", "true", "1", "false", "0"):
        raise RequestError(400, "bad_query", f"partial must be true or false, got '{text[:60]}'.")
    return text in ("true", "1")
