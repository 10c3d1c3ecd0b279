"""`run.py --score`: every row of a table answered by the production bundle; ZenML has no part."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.commands.train import find_problem
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from pipelines.promotion import published_problem
from pipelines.scoring_console import Meter, show_scored
from tabular.bundle import Bundle, load_bundle
from tabular.engines import open_engine
from tabular.errors import ConfigError
from tabular.scoring.input import ReadInput, copy_collection, open_input
from tabular.scoring.output import unfinished_outputs
from tabular.scoring.run import describe_run, score_table
from tabular.settings import Source

DONE = 0
MONGODB = "mongodb"


def run(options: argparse.Namespace, place: Place) -> int:
    """Score a table; rows that break the contract are kept beside and do not stop it."""
    check_report(options.report)
    registry = place.open_registry()
    problem = published_problem(registry, options.problem)
    version = registry.resolve(problem, "production")
    bundle = load_bundle(registry.fetch(problem, version))
    read_input, source = _input(options, place, bundle)
    described = describe_run(bundle, problem, version, source)
    out = _out(options.out, place.home / "scores" / problem, described)
    with (
        open_engine(options.engine or "", options.scheduler or "") as engine,
        Meter(f"{problem} {version} on {options.score}") as meter,
    ):
        manifest = score_table(
            bundle,
            described,
            out,
            read_input=partial(meter.opened, read_input),
            engine=engine,
            progress=meter.add,
        )
    outcome = {**manifest, "out": str(out)}
    write_report(options.report, outcome)
    show_scored(outcome)
    return DONE


def _input(options: argparse.Namespace, place: Place, bundle: Bundle) -> tuple[ReadInput, Any]:
    """How the rows are read once the output is ours, and what tells them from others."""
    contract = bundle.contract.contract
    if options.score != MONGODB:
        table = open_input(contract, options.score)
        return lambda _: table, table.fingerprint()
    source = _collection(options.problem, place)
    read = partial(copy_collection, contract, source, os.environ["MONGODB_URI"])
    return read, source.model_dump(mode="json", include={"database", "collection", "query"})


def _collection(problem: str, place: Place) -> Source:
    source = find_problem(problem, place).source
    if source.kind != MONGODB:
        raise ConfigError(
            f"--score mongodb: {problem}'s source.kind is {source.kind}; name a file or s3://..., "
            "or write `kind: mongodb` with database and collection into its YAML."
        )
    if not place.has_mongodb:
        raise ConfigError(
            "--score mongodb: MONGODB_URI is not set; set it to the server's address."
        )
    return source


def _out(named: Path | None, scores: Path, described: dict[str, Any]) -> Path:
    """Where to write: as named, where an equal run was cut off, or a new folder."""
    if named is not None:
        return named.resolve()
    if begun := unfinished_outputs(scores, described):
        return begun[-1]
    return scores / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{described['version']}"
