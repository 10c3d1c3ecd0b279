"""Which version answers at an address, asked as a client does: `python -m deploy.front`."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tabular.errors import BentolineError, ConfigError, RefusedError

TIMEOUT_S = 120.0  # a load balancer takes some health checks to send requests to a host
POLL_S = 1.0
REQUEST_S = 5.0


def await_version(address: str, version: str, *, timeout_s: float | None = None) -> None:
    """Wait until /readyz names the version.

    Args:
        address: With its scheme; https is meant where there is none.
        version: As the registry names it.
        timeout_s: How long to ask; None for TIMEOUT_S.

    Raises:
        ConfigError: The address is none of http or https.
        RefusedError: Another version answers, or nobody does; which of both.
    """
    begun, timeout_s = time.monotonic(), TIMEOUT_S if timeout_s is None else timeout_s
    while (found := _asked(address)) != version:
        if time.monotonic() - begun >= timeout_s:
            raise RefusedError(
                f"{address}/readyz: {found}, not {version}, after {timeout_s:g} s; see that it "
                "leads to what was deployed, and what that logs."
            )
        time.sleep(POLL_S)


def _asked(address: str) -> str:
    """The version that is ready there, or a few words on why there is none."""
    url = urlsplit(address if "://" in address else f"https://{address}")
    if url.scheme not in ("http", "https") or not url.netloc:
        raise ConfigError(
            f"{address} is no address to ask; write https://HOST or http://HOST:PORT."
        )
    kind = http.client.HTTPConnection if url.scheme == "http" else http.client.HTTPSConnection
    connection = kind(url.netloc, timeout=REQUEST_S)
    try:
        connection.request("GET", f"{url.path.rstrip('/')}/readyz")
        answer = connection.getresponse()
        content = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"nobody answers ({error})"
    finally:
        connection.close()
    version = content.get("model_version") if isinstance(content, dict) else None
    return str(version) if version and answer.status == 200 else f"it answers {answer.status}"


def main(arguments: list[str]) -> int:
    """Ask for the version that a report of `run.py --deploy` names."""
    flags = argparse.ArgumentParser(prog="deploy.front", description=__doc__, allow_abbrev=False)
    flags.add_argument("address", help="https://HOST or http://HOST:PORT")
    flags.add_argument("report", type=Path, help="what --deploy --report wrote")
    options = flags.parse_args(arguments)
    try:
        version = json.loads(options.report.read_text(encoding="utf-8"))["version"]
        await_version(options.address, version)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _fail(f"{options.report}: it is no report of --deploy ({error}).", 2)
    except BentolineError as error:
        return _fail(str(error), error.exit_code)
    sys.stdout.write(f"bentoline: {options.address} answers by {version}.\n")
    return 0


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"bentoline: {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
