#!/usr/bin/env python
"""bentoline: from a table to a gated, served and watched model. One YAML file per problem."""

from __future__ import annotations

import argparse
import json
import os
import sys
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
    from tabular.errors import BentolineError

    home = Path(os.environ.get("BENTOLINE_HOME", ROOT / ".bentoline")).resolve()
    try:
        from pipelines.command import train

        return train(options.problem, options.data, options.report, root=ROOT, home=home)
    except BentolineError as error:
        print(f"bentoline: {error}", file=sys.stderr)
        write_failure(options.report, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        print("bentoline: interrupted; nothing was published. Run it again.", file=sys.stderr)
        return WRONG


def write_failure(report: Path | None, sentence: str) -> None:
    """Leave the sentence in the report too, for programs."""
    if report is not None and report.parent.is_dir():
        report.write_text(json.dumps({"error": sentence}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
