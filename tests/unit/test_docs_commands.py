"""Every command of README and docs/ is one that this checkout understands; cheap ones are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import run
from tests.unit.docs_pages import ROOT, Command, commands, generated_pages

BIN = Path(sys.executable).parent
# Programs that are run for real elsewhere: by program and first word, the tests that do so.
RUN_ELSEWHERE = {
    "terraform init": "tests/infrastructure/terraform.py",
    "terraform apply": "tests/infrastructure/test_terraform.py",
    "terraform output": "tests/infrastructure/test_terraform.py",
    "bentoml serve": "tests/integration/serving.py",
    "zenml model-registry": "tests/integration/test_model_registry_flavor.py",
    "zenml stack": "tests/integration/test_model_registry_flavor.py",
    "docker tag": "tests/e2e/releases.py",
    "docker push": "tests/e2e/releases.py",
    "aws apprunner": "tests/unit/app_runner.py",
}
# What only hands the output of another on.
FILTERS = ("jq", "cut", "head", "less")
# Such actions read, and cost next to nothing; in a home of their own they say so or do it.
CHEAP = ("--help", "--status", "--contract", "--trace", "--dashboard", "--diff", "--rollback")


def named(*programs: str) -> list[Command]:
    return [one for one in commands() if one.program.removeprefix(".venv/bin/") in programs]


def of_run_py() -> list[Command]:
    return [one for one in named("python") if one.words[1:2] == ("run.py",)]


def test_commands_are_found() -> None:
    assert len(of_run_py()) >= 12
    assert {one.page for one in commands()} >= {"README.md", "docs/tutorial.md"}


def test_no_command_is_of_a_program_that_no_test_knows() -> None:
    known = {
        *of_run_py(),
        *named("make", "curl", "pytest", "python", "git", "bash", ".ci/run", *FILTERS),
    }
    others = [one for one in commands() if one not in known]
    assert [str(c) for c in others if _run_elsewhere(c) not in RUN_ELSEWHERE] == []


def _run_elsewhere(command: Command) -> str:
    words = [word for word in command.words if not word.startswith("-")]
    return " ".join(words[:2])


@pytest.mark.parametrize("command", RUN_ELSEWHERE)
def test_what_is_run_elsewhere_is_run_there(command: str) -> None:
    program, _, word = command.partition(" ")
    text = (ROOT / RUN_ELSEWHERE[command]).read_text(encoding="utf-8")
    assert program in text.casefold()
    assert word in text


@pytest.mark.parametrize("command", of_run_py(), ids=str)
def test_flags_of_run_py_are_taken(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        run.parse_arguments(list(command.words[2:]))
    except SystemExit as end:
        pytest.fail(capsys.readouterr().err, pytrace=False) if end.code else None


@pytest.mark.parametrize("command", [c for c in of_run_py() if set(CHEAP) & set(c.words)], ids=str)
def test_cheap_actions_end_in_order(command: Command, tmp_path: Path) -> None:
    """Nothing is published in a new home, so that many end with code 2 and a sentence."""
    env = {**os.environ, "BENTOLINE_HOME": str(tmp_path / "home"), "COLUMNS": "100"}
    for name in ("BENTOLINE_REGISTRY", "MONGODB_URI", "ZENML_CONFIG_PATH", "ZENML_STORE_URL"):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, *command.words[1:]],
        cwd=ROOT, capture_output=True, text=True, env=env, timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    if done.returncode == 2:
        assert done.stderr.startswith("bentoline: ")


@pytest.mark.parametrize("command", named("make"), ids=str)
def test_make_has_the_target(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in [word for word in command.words[1:] if "=" not in word]:
        assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE), target
    for variable in [word.partition("=")[0] for word in command.words[1:] if "=" in word]:
        assert re.search(rf"\$[({{]{variable}[)}}]|^{variable} \?=", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("command", named("curl"), ids=str)
def test_curl_asks_a_route_that_is_there(command: Command) -> None:
    url = next(w for w in command.words[1:] if "localhost" in w or "127.0.0.1" in w)
    path = urlsplit(url if "//" in url else f"http://{url}").path
    sends = {"-d", "--data", "--data-binary", "-F"} & set(command.words)
    assert f"`{'POST' if sends else 'GET'} {path}`" in generated_pages()["docs/reference/api.md"]


@pytest.mark.parametrize("command", named("pytest", "bash", ".ci/run"), ids=str)
def test_files_of_a_command_are_there(command: Command) -> None:
    for word in command.words:
        if "/" in word and not word.startswith((".venv/", "-")):
            assert (ROOT / word.partition("::")[0]).exists(), word


@pytest.mark.parametrize("command", [c for c in named("python") if c not in of_run_py()], ids=str)
def test_modules_and_lines_of_python_are_there(command: Command) -> None:
    kind, what = command.words[1:3]
    if kind == "-c":
        compile(what, "<docs>", "exec")
    else:
        assert kind == "-m"
        assert (ROOT / f"{what.replace('.', '/')}.py").exists() or (BIN / what).exists()


def test_help_is_one_screen() -> None:
    assert len(run.parser().format_help().splitlines()) <= 60
