"""Tables as they lie in files, read in batches: they need not fit into memory."""

from __future__ import annotations

from typing import TypeAlias

import pyarrow.fs as pa_fs

from tabular.errors import DataError
from tabular.tables.csv_files import CsvTable, open_csv
from tabular.tables.csv_forms import Separator
from tabular.tables.locations import locate, readable
from tabular.tables.parquet_files import ParquetTable, find_parts, open_parquet

StoredTable: TypeAlias = CsvTable | ParquetTable

FORMS = "a .csv, .tsv, .txt (or .gz of it) or .parquet file or a folder of .parquet parts"
TEXTS = tuple(form + packing for form in (".csv", ".tsv", ".txt") for packing in ("", ".gz"))


def open_table(path: str, *, separator: Separator = "", encoding: str = "") -> StoredTable:
    """Look at a path or s3:// address and read which columns are there.

    Separator and encoding of a text are looked for in it, unless they are given.

    Raises:
        DataError: Nothing is there, or it is empty, unreadable or of another form.
        StoreError: The S3 store does not answer, or refuses.
    """
    with readable(path, "a table"):
        filesystem, place = locate(path)
        found = filesystem.get_file_info(place)
        is_folder = found.type == pa_fs.FileType.Directory
        parts = find_parts(filesystem, place) if is_folder else [(place, {})]
    if found.type == pa_fs.FileType.NotFound:
        raise DataError(f"{path}: there is no such file; check the path, or leave --data out.")
    if not parts:
        raise DataError(f"{path}: no .parquet part is in this folder; name {FORMS}.")
    if not is_folder and not place.lower().endswith((*TEXTS, ".parquet")):
        raise DataError(f"{path}: {FORMS} is needed; convert it, or name another.")
    if not is_folder and found.size == 0:
        raise DataError(f"{path}: the file is empty; export it again.")
    if is_folder or place.lower().endswith(".parquet"):
        return open_parquet(filesystem, parts, where=path)
    return open_csv(filesystem, place, where=path, separator=separator, encoding=encoding)
