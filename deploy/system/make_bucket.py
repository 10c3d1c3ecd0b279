"""Make a bucket where there is none; it runs once, inside the service's image.

The store may start later than this, so it is asked again until it answers.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

WITHIN_S = 120.0
PAUSE_S = 0.5
OURS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
PASSES = ("InternalError", "ServiceUnavailable", "SlowDown")


def make_bucket(client: Any, name: str, *, within_s: float = WITHIN_S) -> str:
    """Make it and say what was done: "made" or "is there"; an empty text where it failed."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            client.create_bucket(Bucket=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in OURS:
                return "is there"
            if code not in PASSES or time.monotonic() > deadline:
                sys.stderr.write(f"bucket {name}: {error}\n")
                return ""
        except BotoCoreError as error:
            if time.monotonic() > deadline:
                sys.stderr.write(f"bucket {name}: the store did not answer: {error}\n")
                return ""
        else:
            return "made"
        time.sleep(PAUSE_S)


def main(name: str) -> int:
    """Where the store is and who asks stands in AWS's own variables."""
    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
    outcome = make_bucket(Session().client("s3", config=config), name)
    if outcome:
        sys.stdout.write(f"bucket {name} {outcome}\n")
    return 0 if outcome else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
