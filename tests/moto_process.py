"""`python -m tests.moto_process PORT`: the moto server, with conditional writes in one step.

moto 5.2.5 compares the ETag and then writes, in two steps and on several threads, so that of many
simultaneous writers now and then two are let through (seen once in 150 rounds of 8). S3 does both
in one step; a lock around such requests does so here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

Start = Callable[..., Any]


def main(port: int) -> None:
    """Serve the loopback until killed."""
    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def serve(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ.keys() & {"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"}:
            with one_at_a_time:
                return moto(environ, start)
        return moto(environ, start)

    run_simple("127.0.0.1", port, serve, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
