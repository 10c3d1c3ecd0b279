"""The serving image, run by a real engine as in production."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.container import running, wait_ready
from deploy.smoke import smoke_test
from tabular.errors import ConfigError, RefusedError
from tabular.serving import Serving
from tests.e2e.checkout import ROOT, git
from tests.e2e.small_release import build_image
from tests.unit.tiny import RECORDS, write_tiny

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)

MAX_MB = 380
NOT_SERVED = {
    "scikit-learn", "pandas", "zenml", "pyarrow", "scipy", "lightgbm", "catboost", "pip",
}  # fmt: skip
COMPILERS = ("cc", "gcc", "g++", "clang", "make", "ld", "git", "cargo")
LISTING = """
import json, os, shutil
from importlib.metadata import distributions
found = [os.path.join(folder, name)
         for folder, _, names in os.walk("/", topdown=True) for name in names
         if not folder.startswith(("/proc", "/sys"))]
print(json.dumps({
    "packages": sorted({d.metadata["Name"].lower() for d in distributions()}),
    "commands": [name for name in %r if shutil.which(name)],
    "pip": [path for path in found if "/.cache/" in path or path.endswith(("/pip.conf", ".whl"))],
    "writable": [path for path in found if os.access(path, os.W_OK)],
}))
"""


def inside(engine, image, program):
    out = engine.call(
        "run", "--rm", "--read-only", "--entrypoint=python3", image, "-c", program, what="looking"
    )
    return json.loads(out)


def test_the_image_is_small(engine, built):
    assert engine.size_mb(built.id) <= MAX_MB


def test_the_image_holds_what_serves_and_nothing_else(engine, built):
    found = inside(engine, built.id, LISTING % (COMPILERS,))
    assert {"bentoml", "onnxruntime", "numpy", "orjson"} <= set(found["packages"])
    assert NOT_SERVED.isdisjoint(found["packages"])
    assert found["commands"] == []
    # Debian's venv module brings the wheels that it makes environments with.
    assert [path for path in found["pip"] if "/python-wheels/" not in path
            and "/ensurepip/" not in path] == []  # fmt: skip
    assert [path for path in found["writable"] if not path.startswith("/dev/")] == []


def test_a_container_has_no_rights_and_writes_only_under_tmp(engine, built):
    with running(engine, built.id) as name:
        wait_ready(engine, name)
        status = engine.call("exec", name, "cat", "/proc/1/status", what="looking")
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert facts["Uid"].split() == ["10001"] * 4
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        assert not engine.tries("exec", name, "touch", "/bento/new")
        assert not engine.tries("exec", name, "touch", "/opt/venv/new")
        assert engine.tries("exec", name, "touch", "/tmp/new")  # noqa: S108
        limits = engine.inspect("container", name)["HostConfig"]
        assert limits["ReadonlyRootfs"]
        assert limits["PidsLimit"] == 256


def test_the_engine_sees_that_it_is_healthy(engine, built):
    with running(engine, built.id) as name:
        wait_ready(engine, name)
        check = engine.inspect("image", built.id)["Config"]["Healthcheck"]["Test"]
        assert engine.tries("exec", name, *check[1:])
        assert "/readyz" in check[-1]


def test_a_right_image_passes_its_test(engine, built):
    smoke = smoke_test(engine, built.id, built.bundle)
    assert smoke.golden_rows == 1
    assert 0 < smoke.p50_ms <= smoke.p95_ms <= Serving().max_latency_ms


@pytest.mark.parametrize("is_ready", [True, False])
def test_sigterm_ends_a_container_quickly(engine, built, is_ready):
    with running(engine, built.id) as name:
        if is_ready:
            wait_ready(engine, name)
        begun = time.monotonic()
        engine.call("stop", "--time=20", name, what="stopping")
        assert time.monotonic() - begun < 18  # killed at 20
        assert engine.inspect("container", name)["State"]["ExitCode"] != 137  # killed


def test_wrong_golden_answers_are_refused(engine, builder, tmp_path):
    golden = [{"record": RECORDS[0], "answer": [0.9, 0.1]}]
    wrong = builder.build("wrong", write_tiny(tmp_path / "v1", golden=golden))
    with pytest.raises(RefusedError, match=r"not ready: .*golden row 0 answers"):
        smoke_test(engine, wrong.id, wrong.bundle)


def test_an_image_that_is_built_anew_leaves_no_nameless_one(engine, builder, tmp_path):
    ids = []
    for name in ("a", "b"):
        bundle = write_tiny(tmp_path / name / "v1", reference={"n_rows": len(ids)})
        ids.append(builder.build("anew", bundle).id)
    assert engine.inspect("image", ids[0]) is None
    assert engine.inspect("image", ids[1]) is not None


def test_an_image_of_another_model_is_refused(engine, built, tmp_path):
    regression = write_tiny(tmp_path / "v1", task="regression")
    with pytest.raises(RefusedError, match="golden row 0 is answered"):
        smoke_test(engine, built.id, regression)


def test_a_slow_image_is_refused(engine, built, tmp_path):
    serving = Serving(max_latency_ms=0.001).model_dump()
    facts = {"problem": "tiny", "serving": serving}
    hasty = write_tiny(tmp_path / "v1", facts=facts)
    with pytest.raises(RefusedError, match=r"95 % of single rows .*max_latency_ms is 0\.001"):
        smoke_test(engine, built.id, hasty)


def test_an_image_that_ends_is_refused(engine, machine, built):
    with pytest.raises(RefusedError, match="ended before it was ready"):
        smoke_test(engine, engine.image_id(machine.base), built.bundle)


def test_an_image_of_another_architecture_is_refused(engine, built, tmp_path):
    name = "bentoline:of-arm64"
    build_image(engine, "scratch", name, tmp_path / "arm", options=("--platform=linux/arm64",))
    with pytest.raises(ConfigError, match=r"made for arm64 .* by BENTOLINE_BASE_IMAGE"):
        smoke_test(engine, name, built.bundle)
    engine.tries("rmi", name)


@pytest.mark.parametrize(("tool", "pattern"), [("hadolint", "*Dockerfile"), ("shellcheck", "*.sh")])
def test_linters_find_nothing(tool, pattern):
    files = git(ROOT, "ls-files", pattern).split()
    assert files
    command = [Path(sys.executable).parent / tool, *(ROOT / file for file in files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
