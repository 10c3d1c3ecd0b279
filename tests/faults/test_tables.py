"""Tables that break off while they are read, and disks that fill while they are written."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.disks import Disk

ROOT = Path(__file__).parents[2]
HEADER = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),target\n"
LINES = "5.1,3.5,1.4,0.2,setosa\n6.0,2.9,4.5,1.5,versicolor\n6.5,3.0,5.5,1.8,virginica\n" * 20_000

# What the first two steps do, in a process without ZenML: it tells the sentence and its exit code.
STAGES = """
import sys
from pathlib import Path
from tabular.checks.quarantine import check_table
from tabular.errors import BentolineError
from tabular.problem import load_problem
from tabular.tables.snapshot import save_snapshot
from tabular.sources import open_rows

data, home = sys.argv[1], Path(sys.argv[2])
problem = load_problem("iris", Path("configs/problems"))
try:
    rows = open_rows(problem, data=data, root=Path.cwd(), mongodb_uri="", needs_target=True)
    folder = home / "snapshots" / "iris"
    snapshot = save_snapshot(rows.batches, folder, source=rows.source, synthetic=False)
    check_table(snapshot, problem, home=home)
except BentolineError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def read_into(home: Path, data: Path) -> subprocess.CompletedProcess[str]:
    """Snapshot and check a table in a process of its own."""
    command = [sys.executable, "-c", STAGES, str(data), str(home)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def files_in(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def second_header(folder: Path) -> Path:
    (folder / "a.csv").write_text(HEADER + LINES + HEADER + LINES)
    return folder / "a.csv"


def wider_row(folder: Path) -> Path:
    (folder / "a.csv").write_text(HEADER + LINES + "1,2,3,4,setosa,6\n")
    return folder / "a.csv"


def cut_gzip(folder: Path) -> Path:
    (folder / "a.csv.gz").write_bytes(gzip.compress((HEADER + LINES).encode())[:-9])
    return folder / "a.csv.gz"


def damaged_part(folder: Path) -> Path:
    parts = folder / "parts"
    parts.mkdir()
    names = HEADER.strip().split(",")
    columns = [[5.1 + i % 97 / 31 for i in range(20_000)]] * 4 + [["setosa", "virginica"] * 10_000]
    for name in ("a", "b"):
        pq.write_table(pa.table(dict(zip(names, columns, strict=True))), parts / f"{name}.parquet")
    damaged = bytearray((parts / "b.parquet").read_bytes())
    damaged[500:3000] = b"\xff" * 2500
    (parts / "b.parquet").write_bytes(damaged)
    return parts


def cut_part(folder: Path) -> Path:
    parts = damaged_part(folder)
    (parts / "b.parquet").write_bytes((parts / "b.parquet").read_bytes()[:3000])
    return parts


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (second_header, ("a.csv: row 60000 is a second header", "Take that line out")),
        (wider_row, ("a.csv: cannot be read", "Expected 5 columns, got 6", "export")),
        (cut_gzip, ("a.csv.gz: cannot be read", "Truncated", "copy it again")),
        (damaged_part, ("b.parquet: cannot be read as parquet",)),
        (cut_part, ("b.parquet: cannot be read as parquet",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_table_that_breaks_off_is_one_sentence_and_leaves_no_snapshot(
    spoil: Callable[[Path], Path], words: tuple[str, ...], tmp_path: Path
) -> None:
    """Good rows before the fault do not make a snapshot."""
    home = tmp_path / "home"
    done = read_into(home, spoil(tmp_path))
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.strip().splitlines()
    assert all(word in sentence for word in words), sentence
    assert files_in(home) == []


def wide_rows(folder: Path) -> Path:
    """60,000 rows that hardly pack: 2 MB as a snapshot, and 1 MB more once they are typed."""
    lines = [
        f"{4 + i * 7919 % 99991 / 1e5},{2 + i * 104729 % 99991 / 1e5},"
        f"{1 + i * 1299709 % 99991 / 1e5},{i * 15485863 % 99991 / 1e5},"
        f"{('setosa', 'versicolor', 'virginica')[i % 3]}\n"
        for i in range(60_000)
    ]
    (folder / "a.csv").write_text(HEADER + "".join(lines))
    return folder / "a.csv"


def test_disk_that_fills_while_a_table_is_written_leaves_nothing_half_done(
    disk: Disk, tmp_path: Path
) -> None:
    """A disk too small for the snapshot, and one too small for the typed rows beside it."""
    data, roomy = wide_rows(tmp_path), tmp_path / "roomy"
    assert read_into(roomy, data).returncode == 0
    sizes = {name: (roomy / name).stat().st_size for name in files_in(roomy)}
    (typed,) = [size for name, size in sizes.items() if name.startswith("checked")]
    (raw,) = [size for name, size in sizes.items() if name.startswith("snapshots")]
    for room, left in ((raw // 2, 0), (raw + typed // 2, 1)):
        home = disk(str(room))
        done = read_into(home, data)
        assert done.returncode == 2, done.stderr
        (sentence,) = done.stderr.strip().splitlines()
        assert "cannot be written" in sentence
        assert "BENTOLINE_HOME" in sentence
        assert len(files_in(home)) == left, files_in(home)
