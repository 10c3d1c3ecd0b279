#!/usr/bin/env python
"""bentoline: from a table to a gated, served and watched model. One YAML file per problem."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DONE, REFUSED, WRONG = 0, 1, 2

EXIT_CODES = "exit codes: 0 done, 1 the model was refused by a gate, 2 wrong input or environment"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the flags; what is wrong ends with a sentence and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, epilog=EXIT_CODES, allow_abbrev=False
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--train", action="store_true", help="train, judge and publish a model")
    parser.add_argument(
        "--problem",
        default=os.environ.get("BENTOLINE_PROBLEM", "vehicle_insurance"),
        metavar="NAME",
        help="a file under configs/problems/, or the path of one (default: %(default)s)",
    )
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="a .csv or .parquet file in place of the source"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the outcome as JSON")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run one action; turn every error that a user can meet into one sentence."""
    options = parse_arguments(arguments)
    # Threads of the boosters wait asleep: on a shared machine spinning costs 3 times the CPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from tabular.errors import BentolineError

    home = Path(os.environ.get("BENTOLINE_HOME", ROOT / ".bentoline")).resolve()
    try:
        from pipelines.command import train

        return train(options.problem, options.data, options.report, root=ROOT, home=home)
    except BentolineError as error:
        print(f"bentoline: {error}", file=sys.stderr)
        write_failure(options.report, str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # the edge: exit code 1 is kept for a refused model
        sentence = unexpected(error, home)
        print(f"bentoline: {sentence}", file=sys.stderr)
        write_failure(options.report, sentence)
        return WRONG
    except KeyboardInterrupt:
        print("bentoline: interrupted; nothing was published. Run it again.", file=sys.stderr)
        return WRONG


def unexpected(error: Exception, home: Path) -> str:
    """The sentence for an error that nobody foresaw: a full disk, or a defect of ours."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    if any(word in str(link) for link in chain for word in ("No space left", "disk is full")):
        return (
            f"{home}: the disk is full; free some room or set BENTOLINE_HOME to another folder. "
            "Nothing was published."
        )
    details = Path(tempfile.mkdtemp(prefix="bentoline-")) / "traceback.txt"
    details.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    what = (str(error).splitlines() or [""])[0][:200]
    return (
        f"unexpected {type(error).__name__}: {what}; this is a defect, please report it with "
        f"{details}. Nothing was published."
    )


def write_failure(report: Path | None, sentence: str) -> None:
    """Leave the sentence in the report too, for programs."""
    if report is not None and report.parent.is_dir():
        report.write_text(json.dumps({"error": sentence}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
