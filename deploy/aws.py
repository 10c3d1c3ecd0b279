"""AWS's SDK: clients with limits, and its errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from tabular.errors import BentolineError, ConfigError, StoreError

TIMEOUT_S = 10
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
REFUSED = (
    "403", "AccessDenied", "AccessDeniedException", "AuthFailure", "InvalidAccessKeyId",
    "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
    "UnauthorizedOperation", "UnrecognizedClientException",
)  # fmt: skip
QUOTA = ("LimitExceeded", "TooMany", "ServiceQuotaExceeded")
NOTHING: Mapping[str, str] = MappingProxyType({})


def client(service: str) -> Any:
    """A client of one of AWS's services, in the region and with the keys that boto3 finds."""
    from boto3.session import Session
    from botocore.config import Config

    limits = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"max_attempts": 2})
    make: Any = Session().client  # typed for services that are known by name only
    return make(service, config=limits)


@contextmanager
def asking(name: str, needs: str, known: Mapping[str, str] = NOTHING) -> Iterator[None]:
    """Turn the SDK's errors into sentences.

    Args:
        name: The service, as the sentence begins.
        needs: The permissions that are asked for inside.
        known: By error code: the rest of the sentence, with its fix.

    Raises:
        ConfigError: There are no credentials, they expired or are refused, a quota is full, or
            what is asked for is not there.
        StoreError: AWS does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refused(error.response["Error"], name, needs, known) from error
    except BotoCoreError as error:
        raise _unreachable(error, name) from error


def _refused(
    error: Mapping[str, Any], name: str, needs: str, known: Mapping[str, str]
) -> BentolineError:
    code = str(error.get("Code", ""))
    if code in known:
        return ConfigError(f"{name}: {known[code]}")
    if code in EXPIRED:
        return ConfigError(f"{name}: your AWS credentials expired; renew them and run it again.")
    if code in REFUSED:
        return ConfigError(f"{name}: your AWS credentials are refused ({code}); they need {needs}.")
    said = f"({code}: {str(error.get('Message', ''))[:200]})"
    if any(word in code for word in QUOTA):
        return ConfigError(
            f"{name}: a quota of your AWS account is full {said}; delete what is no longer needed, "
            "or ask for more under Service Quotas."
        )
    return ConfigError(f"{name}: it refused what was asked {said}.")


def _unreachable(error: Exception, name: str) -> BentolineError:
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return ConfigError(
            f"{name}: there are no AWS credentials; log in (aws sso login), or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, exceptions.NoRegionError):
        return ConfigError(f"{name}: no AWS region is named; set AWS_DEFAULT_REGION.")
    if isinstance(error, exceptions.TokenRetrievalError | exceptions.SSOTokenLoadError):
        return ConfigError(f"{name}: your AWS session expired; log in again (aws sso login).")
    return StoreError(f"{name}: AWS does not answer ({str(error)[:200]}); try again later.")
