"""Reading a collection over the wire, from a server process, and what a user is told when not."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bson import Decimal128, Int64, ObjectId
from pandas.testing import assert_frame_equal

from tabular.contract import Column
from tabular.errors import BentolineError, ConfigError, DataError, StoreError
from tabular.mongo.reading import Progress, read_batches
from tabular.settings import Source
from tests.integration.mongo_server import Server, free_port, guarded, mongo, serving

__all__ = ["guarded", "mongo"]  # fixtures

Fill = Callable[..., Source]
ROOT = Path(__file__).parents[2]

COLUMNS = {
    "age": Column(type="number"),
    "city": Column(type="category"),
    "opened": Column(type="date"),
    "row": Column(type="id"),
    "note": Column(type="ignore"),
}


def source(collection: str = "orders", **parts: Any) -> Source:
    """A collection of database shop."""
    parts = {"database": "shop", **parts}
    return Source(kind="mongodb", collection=collection, **parts)


def read(uri: str, place: Source, columns: dict[str, Column] | None = None) -> pa.Table:
    """The whole collection as one table."""
    return pa.Table.from_batches(read_batches(uri, place, columns or COLUMNS, patience_s=1))


@pytest.fixture
def fill(mongo: Server, request: pytest.FixtureRequest) -> Fill:
    """Put documents into a collection named for the test."""

    def put(documents: list[dict[str, Any]], **parts: Any) -> Source:
        name = request.node.originalname
        with mongo.client() as client:
            client["shop"][name].drop()
            client["shop"][name].insert_many(documents)
        return source(name, **parts)

    return put


def test_read_gives_typed_columns_in_order_of_id(mongo: Server, fill: Fill) -> None:
    """Only the contract's columns, numbers as numbers, the rest as text, sorted by `_id`."""
    place = fill(
        [
            {"_id": 3, "age": 41, "city": "Pune", "opened": dt.datetime(2024, 5, 17), "row": 7},
            {"_id": 1, "age": 30.5, "city": "Delhi", "other": 1, "note": "n", "row": ObjectId()},
            {"_id": 2, "city": None, "opened": "2024-05-18", "row": "c"},
        ]
    )
    table = read(mongo.uri(), place)
    assert table.schema.names == ["age", "city", "opened", "row"]
    assert table.schema.types == [pa.float64(), pa.string(), pa.string(), pa.string()]
    assert table.column("age").to_pylist() == [30.5, None, 41.0]
    assert table.column("city").to_pylist() == ["Delhi", None, "Pune"]
    assert table.column("opened").to_pylist() == [None, "2024-05-18", "2024-05-17"]
    assert table.column("row").to_pylist()[1:] == ["c", "7"]


def test_nested_values_are_read_by_dotted_names(mongo: Server, fill: Fill) -> None:
    """`projection` says where a column lies; what is no document on the way is a missing value."""
    place = fill(
        [
            {"_id": 1, "customer": {"age": 30, "address": {"city": "Delhi"}}, "city": "wrong"},
            {"_id": 2, "customer": {"age": Decimal128("41.5")}},
            {"_id": 3, "customer": 7},
            {"_id": 4, "customer": {"age": Int64(5), "address": {"city": ["a", "b"]}}},
        ],
        projection={"age": "customer.age", "city": "customer.address.city"},
    )
    columns = {"age": COLUMNS["age"], "city": COLUMNS["city"]}
    table = read(mongo.uri(), place, columns)
    assert table.column("age").to_pylist() == [30.0, 41.5, None, 5.0]
    city = table.column("city").to_pylist()
    assert city[:3] == ["Delhi", None, None]
    assert city[3].startswith("\0")


def test_query_picks_documents_and_absent_columns_are_left_out(mongo: Server, fill: Fill) -> None:
    """A column that no document has is not made up."""
    place = fill([{"_id": n, "age": n} for n in range(10)], query={"age": {"$gte": 7}})
    table = read(mongo.uri(), place)
    assert table.to_pydict() == {"age": [7.0, 8.0, 9.0]}


def test_ids_of_all_types_are_read_in_the_servers_order(mongo: Server, fill: Fill) -> None:
    """`_id` may be of any type, and may be a column itself."""
    ids = [2.5, 1, "b", "a", {"k": 1}, b"x", ObjectId(), True, dt.datetime(2020, 1, 1), Int64(9)]
    place = fill([{"_id": value, "age": place} for place, value in enumerate(ids)])
    with mongo.client() as client:
        expected = [d["age"] for d in client["shop"][place.collection].find().sort("_id", 1)]
    table = read(mongo.uri(), place, {"_id": Column(type="id"), "age": Column(type="number")})
    assert table.column("age").to_pylist() == expected
    assert table.column("_id").to_pylist()[:4] == ["1", "2.5", "9", "a"]


def test_progress_tells_rows_rate_and_share(mongo: Server, fill: Fill) -> None:
    """After each reply: rows so far, rows a second, the share of the estimated count."""
    place = fill([{"_id": n, "age": n} for n in range(20_000)])
    told: list[Progress] = []
    list(read_batches(mongo.uri(), place, COLUMNS, progress=told.append))
    assert [t.n_rows for t in told] == sorted({t.n_rows for t in told})
    assert told[-1].n_rows == 20_000
    assert told[-1].share == 1.0
    assert 0 < told[0].share < 1
    assert all(t.rows_per_s > 0 for t in told)


def refused(uri: str, place: Source) -> BentolineError:
    """What a reading is refused with, secrets looked for, and within ten seconds."""
    started = time.monotonic()
    with pytest.raises(BentolineError) as caught:
        read(uri, place)
    assert time.monotonic() - started < 30  # 10 s asked; a stalled machine is not our defect
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (source(database="shopp"), "no database 'shopp'.*did you mean 'shop'"),
        (source("order"), "no collection 'order'.*did you mean 'orders'"),
        (source("empty"), "shop.empty is empty; fill it with --load"),
        (source(query={"age": 99}), r"no document .* matches source.query \{'age': 99\}"),
    ],
)
def test_read_without_a_document_says_why(mongo: Server, place: Source, says: str) -> None:
    """No database, no collection, nothing in it, nothing that matches: four sentences."""
    with mongo.client() as client:
        client["shop"]["orders"].update_one({"_id": 1}, {"$set": {"age": 30}}, upsert=True)
        if "empty" not in client["shop"].list_collection_names():
            client["shop"].create_collection("empty")
    error = refused(mongo.uri(), place)
    assert isinstance(error, DataError)
    assert_says(error, says)


def test_read_with_a_query_that_is_none_names_the_key(mongo: Server) -> None:
    """The server's own words about the operator, and where to correct it."""
    error = refused(mongo.uri(), source(query={"age": {"$above": 3}}))
    assert isinstance(error, ConfigError)
    assert_says(error, r"source.query .*\$above.*correct it in the problem's YAML")


@pytest.mark.parametrize(
    ("login", "place", "says"),
    [
        ("reader:s3cret", source(), "refuses this user and password"),
        ("", source(), "asks for a user and a password"),
        ("reader:r3ad", source(database="ledger"), "may not do this on ledger.orders.*`read`"),
    ],
)
def test_read_without_the_right_says_which(
    guarded: Server, login: str, place: Source, says: str
) -> None:
    """A wrong password, none at all, and a database that the user may not read."""
    error = refused(guarded.uri(login, "authSource=shop" if login else ""), place)
    assert isinstance(error, ConfigError)
    assert_says(error, says)


def test_read_with_a_role_that_only_reads_works(guarded: Server) -> None:
    """Reading needs no more than the role `read`."""
    table = read(guarded.uri("reader:r3ad", "authSource=shop"), source())
    assert table.to_pydict() == {"age": [30.0], "city": ["Delhi"]}


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("localhost:27017/s3cret", "not a MongoDB address; it must read mongodb://user"),
        ("mongodb://me:s3cret/x@host", "special characters"),
        ("mongodb://me:s3cret@host/?tls=perhaps", "option"),
        ("mongodb://me:s3cret@host/?tls=true&tlsCAFile=/no/ca.pem", "file .* /no/ca.pem"),
    ],
)
def test_read_from_a_malformed_address_shows_its_form_and_no_secret(uri: str, says: str) -> None:
    """The address itself is never shown: there is no telling where in it the password is."""
    error = refused(uri, source())
    assert isinstance(error, ConfigError)
    assert_says(error, f"MONGODB_URI.*{says}")


def test_read_from_a_server_that_is_away_ends_within_ten_seconds() -> None:
    """Nobody listens: the host is named, the password is not."""
    port = free_port()
    error = refused(f"mongodb://me:s3cret@127.0.0.1:{port}/", source())
    assert isinstance(error, StoreError)
    assert_says(error, f"127.0.0.1:{port}: no MongoDB server answers")


def test_read_over_tls_where_none_is_offered_says_so(mongo: Server) -> None:
    """The address asks for TLS and the server speaks plainly."""
    error = refused(mongo.uri(options="tls=true"), source())
    assert_says(error, "over TLS, which MONGODB_URI asks for")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA of our own, and a server's certificate that it signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    openssl("x509", "-req", "-days", "2", "-in", "server.csr", *sign, "-out", "server.pem")
    return folder


def test_read_over_tls_checks_the_servers_certificate(authority: Path, tmp_path: Path) -> None:
    """With the CA named the rows come; without it, or without TLS, one sentence."""
    flags = (
        "--tls-cert-file",
        authority / "server.pem",
        "--tls-key-file",
        authority / "server.key",
    )
    with serving(tmp_path, *map(str, flags)) as server:
        trusted = f"tls=true&tlsCAFile={authority / 'ca.pem'}"
        error = refused(server.uri(options=trusted), source())
        assert_says(error, "no database 'shop'")
        error = refused(server.uri(options="tls=true"), source())
        assert_says(error, "certificate is not trusted; name the CA.*tlsCAFile")
        error = refused(server.uri(), source())
        assert_says(error, "no MongoDB server answers.*tls=true")


def assert_says(error: BentolineError, pattern: str) -> None:
    """The sentence has the part that a user needs."""
    with pytest.raises(type(error), match=pattern):
        raise error


FLOWERS = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),target"


@pytest.fixture
def flowers_csv(tmp_path: Path) -> Path:
    """Iris with a gap, a slip of the pen, and two equal rows."""
    from tabular.sources import read_sklearn

    table = read_sklearn("iris")
    lines = [",".join(map(str, row.values())) for row in table.to_pylist()]
    lines[7] = "5.0,,1.5,0.2,setosa"
    lines[9] = "five,3.1,1.5,0.1,setosa"
    lines[11] = lines[10]
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join([FLOWERS, *lines]) + "\n")
    return path


@pytest.fixture
def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Call `run.py --load` in this process; give exit code, report and stderr."""
    import run

    def call(uri: str, file: Path, problem: Path | str = "iris") -> tuple[int, dict[str, Any], str]:
        report = tmp_path / "loaded.json"
        report.unlink(missing_ok=True)
        monkeypatch.setenv("MONGODB_URI", uri)
        arguments = ["--load", str(file), "--problem", str(problem), "--report", str(report)]
        code = run.main(arguments)
        return code, json.loads(report.read_text()), capfd.readouterr().err

    return call


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    """Rows inserted, changed, unchanged."""
    return report["inserted"], report["changed"], report["unchanged"]


def test_load_twice_changes_nothing_and_says_so(
    mongo: Server, load: Callable[..., Any], flowers_csv: Path
) -> None:
    """Without a key a row is known by what it holds; equal rows stay as many as they are."""
    code, report, _ = load(mongo.uri(), flowers_csv)
    assert (code, counts(report)) == (0, (150, 0, 0))
    code, report, _ = load(mongo.uri(), flowers_csv)
    assert (code, counts(report)) == (0, (0, 0, 150))
    with mongo.client() as client:
        kept = client["bentoline"]["iris"]
        assert kept.count_documents({}) == 150
        assert kept.count_documents({"sepal length (cm)": {"$type": "number"}}) == 149
        assert kept.count_documents({"sepal length (cm)": "five"}) == 1


def test_load_by_key_writes_nested_values_and_counts_what_changed(
    mongo: Server, load: Callable[..., Any], make_problem: Callable[..., Path], tmp_path: Path
) -> None:
    """The same key with another value is the same row, changed."""
    place = {"kind": "mongodb", "database": "shop", "collection": "by_key"}
    place |= {"key": ["sepal length (cm)"], "projection": {"petal width (cm)": "petal.width"}}
    problem = make_problem("iris", source=place)
    table = tmp_path / "few.csv"
    table.write_text(f"{FLOWERS}\n1,2,3,4,setosa\n2,2,3,4,virginica\n")
    assert counts(load(mongo.uri(), table, problem)[1]) == (2, 0, 0)
    table.write_text(f"{FLOWERS}\n3,2,3,4,setosa\n1,2,3,4,setosa\n2,2,3,4.5,virginica\n")
    assert counts(load(mongo.uri(), table, problem)[1]) == (1, 1, 1)
    with mongo.client() as client:
        kept = {d["_id"]: d["petal"] for d in client["shop"]["by_key"].find()}
    assert kept == {1: {"width": 4}, 2: {"width": 4.5}, 3: {"width": 4}}
    table.write_text(f"{FLOWERS}\n1,2,3,4,setosa\n1,2,3,5,setosa\n")
    code, report, _ = load(mongo.uri(), table, problem)
    assert code == 2
    assert "stands twice, in rows 1 and 2" in report["error"]


def test_load_into_rows_that_something_else_wrote_is_refused(
    mongo: Server, load: Callable[..., Any], make_problem: Callable[..., Path], tmp_path: Path
) -> None:
    """Rows of the key under ids of their own would all be there twice."""
    with mongo.client() as client:
        client["shop"]["foreign"].insert_one({"sepal length (cm)": 1})
    place = {"kind": "mongodb", "database": "shop", "collection": "foreign"}
    problem = make_problem("iris", source=place | {"key": ["sepal length (cm)"]})
    table = tmp_path / "few.csv"
    table.write_text(f"{FLOWERS}\n1,2,3,4,setosa\n")
    code, report, _ = load(mongo.uri(), table, problem)
    assert code == 2
    assert "--load did not write" in report["error"]


def test_load_of_wrong_columns_writes_nothing(
    mongo: Server, load: Callable[..., Any], make_problem: Callable[..., Path], tmp_path: Path
) -> None:
    """The header is looked at first."""
    place = {"kind": "mongodb", "database": "shop", "collection": "untouched"}
    table = tmp_path / "wrong.csv"
    table.write_text("sepal length (cm),sepal wdth (cm),target\n1,2,setosa\n")
    code, report, _ = load(mongo.uri(), table, make_problem("iris", source=place))
    assert code == 2
    assert "columns missing" in report["error"]
    with mongo.client() as client:
        assert "untouched" not in client["shop"].list_collection_names()


def test_load_with_a_role_that_only_reads_says_so(
    guarded: Server,
    load: Callable[..., Any],
    make_problem: Callable[..., Path],
    flowers_csv: Path,
) -> None:
    """One sentence, exit code 2, and no password; the role that writes may."""
    place = {"kind": "mongodb", "database": "shop", "collection": "flowers"}
    problem = make_problem("iris", source=place)
    code, report, err = load(guarded.uri("reader:r3ad", "authSource=shop"), flowers_csv, problem)
    assert code == 2
    assert "may not do this on shop.flowers" in report["error"]
    assert "`readWrite` for --load" in report["error"]
    assert "r3ad" not in report["error"] + err
    assert load(guarded.uri("writer:wr1te", "authSource=shop"), flowers_csv, problem)[0] == 0


def test_rows_from_the_collection_are_the_files_rows(
    mongo: Server, load: Callable[..., Any], flowers_csv: Path, tmp_path: Path
) -> None:
    """The same typed rows, the same refused values, and the same snapshot each time."""
    import pyarrow.parquet as pq

    from tabular.checks.quarantine import check_rows
    from tabular.problem import load_problem
    from tabular.sources import open_rows
    from tabular.tables.snapshot import save_snapshot

    load(mongo.uri(), flowers_csv)
    problem = load_problem("iris", ROOT / "configs" / "problems")
    frames, refused, hashes = [], [], []
    for data, uri in ((str(flowers_csv), ""), ("", mongo.uri()), ("", mongo.uri())):
        rows = open_rows(problem, data=data, root=ROOT, mongodb_uri=uri, needs_target=True)
        kept = save_snapshot(rows.batches, tmp_path, source=rows.source, synthetic=False)
        good, bad, _ = check_rows(pq.read_table(kept.path), problem)
        frames.append(good.sort_values(list(good.columns)).reset_index(drop=True))
        bad["value"] = bad["value"].replace("nan", "")  # a missing number has no text of its own
        refused.append(bad.drop(columns="row"))
        hashes.append(kept.sha256)
    assert hashes[1] == hashes[2]
    assert_frame_equal(frames[0], frames[1])
    assert_frame_equal(refused[0], refused[1])
    assert set(refused[0]["value"]) == {"five", ""}


def test_train_from_the_collection_is_cached_and_can_be_repeated(
    mongo: Server,
    load: Callable[..., Any],
    train: Callable[..., Any],
    home: Path,
    flowers_csv: Path,
    make_problem: Callable[..., Path],
) -> None:
    """The second run fits nothing; the snapshot gives the model again when rows have moved on."""
    place = {"kind": "mongodb", "database": "shop", "collection": "trained"}
    problem = make_problem("iris", source=place, max_refused_share=0.05)
    load(mongo.uri(), flowers_csv, problem)
    first, second = train(problem), train(problem)
    assert first.code == 0, first.stderr
    assert first.report["source"] == "shop.trained"
    assert {s["name"] for s in second.report["steps"] if s["cached"]} >= {"fit_model"}
    with mongo.client() as client:
        client["shop"]["trained"].delete_many({"target": "setosa"})
    moved_on = train(problem)
    assert moved_on.code == 2
    kept = next(home.rglob(f"{first.report['snapshot'][:16]}*.parquet"))
    repeated = train(problem, "--data", str(kept))
    assert repeated.report["model_sha256"] == first.report["model_sha256"]
