"""Where a batch scoring run writes: one folder or one CSV file that is there whole or not at all.

    .NAME.unfinished/        while the run goes on, or after it died
        _run.json            what is scored with what; the same command goes on from here
        part-00000.parquet   answers, a file for each finished part
        _errors/part-00000.parquet   values that broke the contract: row_number, column, value, rule
        _manifest.json       written last; then the folder takes the name NAME

For NAME.csv the parts are joined at the end, errors and manifest stand beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tabular.errors import ConfigError, StoreError
from tabular.files import disk_error, sync, whole_file
from tabular.scoring.input import COPY
from tabular.scoring.parts import ERRORS, RUN

MANIFEST = "_manifest.json"


def is_csv(out: Path) -> bool:
    """Whether one CSV file is asked for, not a folder of Parquet parts."""
    return out.suffix.lower() == ".csv"


def beside(out: Path, what: str) -> Path:
    """A file that goes with NAME.csv: NAME.errors.csv, NAME.manifest.json."""
    return out.with_name(f"{out.stem}.{what}")


def work_folder(out: Path) -> Path:
    """Where the parts of an unfinished run lie."""
    return out.with_name(f".{out.name}.unfinished")


def unfinished_outputs(folder: Path, run: Mapping[str, Any]) -> list[Path]:
    """The outputs below a folder that an equal run began and did not finish."""
    works = sorted(folder.glob(".*.unfinished"))
    return [
        folder / work.name.removeprefix(".").removesuffix(".unfinished")
        for work in works
        if _read(work / RUN) == run
    ]


@contextmanager
def claimed(out: Path, run: Mapping[str, Any]) -> Iterator[Path]:
    """Hold the work folder of an output alone, new or from an equal run that did not finish.

    Args:
        out: A folder that is not there or empty, or a CSV file that is not there.
        run: What is scored with what, as JSON; written down, or compared with what began here.

    Raises:
        ConfigError: There is something at `out`, or an unfinished run of another kind.
        StoreError: Another process holds it, or it cannot be written.
    """
    _refuse_taken(out)
    work = work_folder(out)
    try:
        (work / ERRORS).mkdir(parents=True, exist_ok=True)
        lock = (work / ".lock").open("ab")
    except OSError as error:
        raise disk_error(work, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"{out}: another scoring run is writing here; wait for it, or name another --out."
            ) from error
        _refuse_other(out, work, run)
        for leftover in work.rglob(".*.part"):
            leftover.unlink()
        try:
            yield work
        finally:
            if work.exists() and not any(work.glob("part-*.parquet")):
                shutil.rmtree(work)  # nothing to go on from


def _refuse_taken(out: Path) -> None:
    if is_csv(out) and out.exists():
        raise ConfigError(f"{out}: the file is there already and is kept; name another --out.")
    if out.is_dir() and (out / MANIFEST).exists():
        raise ConfigError(f"{out}: holds a finished run, which is kept; name another --out.")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(
            f"{out}: holds other things than a scoring run; name a folder that is new or empty, or "
            "a file that ends in .csv."
        )


def _refuse_other(out: Path, work: Path, run: Mapping[str, Any]) -> None:
    begun = _read(work / RUN)
    if begun is None:
        with whole_file(work / RUN) as unfinished:
            unfinished.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    elif begun != run:
        other = [key for key in run if begun.get(key) != run[key]]
        raise ConfigError(
            f"{out}: an unfinished run lies here with another {' and '.join(other) or 'format'}; "
            f"name another --out, or delete {work}."
        )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content


def finish(out: Path, manifest: Mapping[str, Any]) -> None:
    """Give the finished run its name; the manifest is the last thing written.

    Raises:
        StoreError: The disk is full, or something took the name meanwhile.
    """
    work = work_folder(out)
    text = json.dumps(manifest, indent=1, allow_nan=False) + "\n"
    try:
        if is_csv(out):
            _finish_csv(out, work, text)
            return
        if not any((work / ERRORS).iterdir()):
            (work / ERRORS).rmdir()
        (work / COPY).unlink(missing_ok=True)
        with whole_file(work / MANIFEST) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        (work / ".lock").unlink()
        os.rename(work, out)
        sync(out.parent)
    except OSError as error:
        raise disk_error(out, error) from error


def _finish_csv(out: Path, work: Path, manifest: str) -> None:
    errors = sorted((work / ERRORS).glob("*.parquet"))
    if errors:
        _join(errors, beside(out, "errors.csv"))
    with whole_file(beside(out, "manifest.json")) as unfinished:
        unfinished.write_text(manifest, encoding="utf-8")
    _join(sorted(work.glob("part-*.parquet")), out)
    shutil.rmtree(work)


def _join(parts: list[Path], out: Path) -> None:
    """Write Parquet parts as one CSV, a batch at a time."""
    schema = _plain(pq.read_schema(parts[0]))
    with whole_file(out) as unfinished, pa_csv.CSVWriter(unfinished, schema) as writer:
        for part in parts:
            with pq.ParquetFile(part, pre_buffer=False) as file:
                for batch in file.iter_batches():
                    writer.write_batch(batch.cast(schema))


def _plain(schema: pa.Schema) -> pa.Schema:
    """Without codes and metadata: a CSV has texts."""
    return pa.schema(
        [
            pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
            for f in schema
        ]
    )
