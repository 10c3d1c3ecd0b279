#!/usr/bin/env python
"""bentoline: from a table to a gated, served and watched model. One YAML file per problem."""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
WRONG = 2

EXIT_CODES = (
    "exit codes: 0 done, 1 refused by a gate or action is due, 2 wrong input or environment"
)
# By action: its module in pipelines.commands, and the flags that not every action takes.
ACTIONS = {
    "init": ("init", ("target", "name", "yes")),
    "train": ("train", ("data", "engine", "scheduler", "stack")),
    "load": ("load", ()),
    "contract": ("contract", ("data",)),
    "score": ("score", ("out", "engine", "scheduler")),
    "promote": ("promotion", ("to", "why", "override")),
    "rollback": ("promotion", ("to", "why")),
    "status": ("status", ("json",)),
    "diff": ("diff", ("json",)),
    "serve": ("serve", ("port",)),
    "deploy": ("deploy", ("target", "sbom")),
    "monitor": ("monitor", ("since", "retrain", "data", "engine", "scheduler")),
    "dashboard": ("dashboard", ("port",)),
    "doctor": ("doctor", ("stack", "json")),
    "trace": ("trace", ("json",)),
    "labels": ("labels", ()),
    "shadow": ("shadow", ("why",)),
}


# May be killed at any moment, so that an interrupt need not be heard.
KILLABLE = ("train", "load", "score", "monitor")


def parser() -> argparse.ArgumentParser:
    """All flags; they fit one screen."""
    flags = argparse.ArgumentParser(
        prog="run.py", description=__doc__, epilog=EXIT_CODES, allow_abbrev=False
    )
    action = flags.add_argument_group("actions, one of").add_mutually_exclusive_group(required=True)
    action.add_argument("--init", metavar="SOURCE", help="describe a table: file or mongodb://...")
    action.add_argument("--train", action="store_true", help="train, judge and publish a model")
    action.add_argument("--load", metavar="FILE", help="put a table into the problem's collection")
    action.add_argument("--contract", choices=["diff"], help="what changed in the data's columns")
    action.add_argument("--score", metavar="SOURCE", help="answer a file, s3://... or 'mongodb'")
    action.add_argument("--promote", metavar="VERSION", help="move an alias by hand")
    action.add_argument("--rollback", action="store_true", help="production back by one version")
    action.add_argument("--status", action="store_true", help="versions, aliases, metrics, moves")
    action.add_argument("--diff", nargs=2, metavar="VERSION", help="two versions side by side")
    action.add_argument("--serve", action="store_true", help="answer over HTTP")
    action.add_argument("--deploy", action="store_true", help="image of production: test, deliver")
    action.add_argument("--trace", metavar="REQUEST_ID", help="an answer's model, data, commit")
    action.add_argument("--labels", metavar="FILE", help="what came true; or 'mongodb'")
    action.add_argument("--shadow", metavar="VERSION", help="answers beside; or off, report")
    action.add_argument("--monitor", action="store_true", help="drift, live metrics, what is due")
    action.add_argument("--dashboard", action="store_true", help="ZenML's pages on all runs")
    action.add_argument("--doctor", action="store_true", help="is every part well? what to mend")
    flags.add_argument(
        "--problem",
        metavar="NAME",
        help="under configs/problems/, or a .yaml file (default: $BENTOLINE_PROBLEM, else "
        "vehicle_insurance)",
    )
    flags.add_argument("--data", metavar="PATH", help="a table in place of the problem's source")
    flags.add_argument("--out", type=Path, metavar="PATH", help="where --score writes")
    flags.add_argument("--to", metavar="NAME", help="alias for --promote, version for --rollback")
    flags.add_argument("--why", metavar="TEXT", help="for the audit record")
    flags.add_argument("--override", metavar="TEXT", help="promote what a gate refused; audited")
    flags.add_argument(
        "--engine", choices=["local", "dask"], help="where --train, --score, --monitor work"
    )
    flags.add_argument("--scheduler", metavar="URL", help="a Dask cluster, tcp://host:port")
    flags.add_argument("--stack", metavar="NAME", help="a ZenML stack under configs/stacks/")
    flags.add_argument("--port", type=int, metavar="N", help="for --serve, --dashboard")
    flags.add_argument(
        "--target", metavar="NAME", help="column for --init; where --deploy delivers"
    )
    flags.add_argument("--name", metavar="NAME", help="of the problem that --init writes")
    flags.add_argument("--yes", action="store_true", help="take what --init is not sure of")
    flags.add_argument("--since", metavar="TIME", help="for --monitor: 12h, 7d, 2026-03-01")
    flags.add_argument("--retrain", action="store_true", help="train where --monitor finds it due")
    flags.add_argument("--sbom", type=Path, metavar="FILE", help="what is in the image, CycloneDX")
    flags.add_argument("--json", action="store_true", help="answer for programs")
    flags.add_argument("--report", type=Path, metavar="FILE", help="write the outcome as JSON")
    return flags


def parse_arguments(arguments: list[str]) -> tuple[str, argparse.Namespace]:
    """The action's name and its flags; what is wrong ends with a sentence and exit code 2."""
    flags = parser()
    options = flags.parse_args(arguments)
    action = next(name for name in ACTIONS if getattr(options, name) not in (None, False))
    known = {name for _, names in ACTIONS.values() for name in names}
    for name in sorted(known - set(ACTIONS[action][1])):
        if getattr(options, name) not in (None, False):
            homes = " or ".join(f"--{a}" for a, (_, names) in ACTIONS.items() if name in names)
            flags.error(f"--{name} goes with {homes}, got --{action}")
    options.has_problem = options.problem is not None
    options.problem = options.problem or os.environ.get("BENTOLINE_PROBLEM") or "vehicle_insurance"
    options.action = action
    return action, options


def main(arguments: list[str], *, owns_process: bool = False) -> int:
    """Run one action; turn every error that a user can meet into one sentence."""
    action, options = parse_arguments(arguments)
    # Threads of the boosters wait asleep: on a shared machine spinning costs 3 times the CPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from pipelines import allocations, interrupts

    if owns_process and action in KILLABLE:
        interrupts.end_for_sure()
    gc.set_threshold(allocations.PER_LOOK)
    from pipelines.place import Place
    from tabular.errors import BentolineError

    place = Place.of(ROOT, os.environ)
    try:
        command = importlib.import_module(f"pipelines.commands.{ACTIONS[action][0]}")
        return int(command.run(options, place))
    except BentolineError as error:
        return fail(str(error), options.report, error.exit_code, error.facts)
    except Exception as error:  # noqa: BLE001  # the edge: exit code 1 is kept for a refused model
        return fail(unexpected(error, place.home), options.report, WRONG)
    except KeyboardInterrupt:
        return fail(interrupts.SENTENCE, None, WRONG)


def fail(
    sentence: str, report: Path | None, code: int, facts: Mapping[str, object] | None = None
) -> int:
    """Say the sentence; leave it in the report too, for programs."""
    print(f"bentoline: {sentence}", file=sys.stderr)
    if report is not None and report.parent.is_dir():
        report.write_text(
            json.dumps({"error": sentence, **(facts or {})}, indent=2) + "\n", encoding="utf-8"
        )
    return code


def unexpected(error: Exception, home: Path) -> str:
    """The sentence for an error that nobody foresaw: a full disk, or a defect of ours."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    if any(word in str(link) for link in chain for word in ("No space left", "disk is full")):
        return (
            f"{home}: the disk is full; free some room or set BENTOLINE_HOME to another folder. "
            "What was published before stands."
        )
    details = Path(tempfile.mkdtemp(prefix="bentoline-")) / "traceback.txt"
    details.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    what = (str(error).splitlines() or [""])[0][:200]
    return (
        f"unexpected {type(error).__name__}: {what}; this is a defect, please report it with "
        f"{details}. `--status` shows what is published."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], owns_process=True))
