"""What a MongoDB server or driver says, as one sentence for the user, without a secret in it."""

from __future__ import annotations

import re
from typing import Any

from pymongo import errors
from pymongo.uri_parser import parse_uri

from tabular.errors import BentolineError, ConfigError, StoreError
from tabular.settings import Source

TLS_OPTION = re.compile(r"[?&](tls|ssl)=true", re.IGNORECASE)
EXAMPLE = "mongodb://user:password@host:27017"

UNAUTHORIZED, LOGIN_FAILED, BAD_VALUE, FAILED_TO_PARSE, TYPE_MISMATCH = 13, 18, 2, 9, 14
BAD_QUERY = (BAD_VALUE, FAILED_TO_PARSE, TYPE_MISMATCH, 17287, 51091, 40415)
# A cursor that was lost or killed, a server that stops or hands over, a time that ran out.
PASSING = frozenset(
    {6, 7, 43, 50, 63, 89, 91, 134, 175, 189, 237, 262}
    | {9001, 10107, 11600, 11601, 11602, 13435, 13436}
)


def server_name(uri: str) -> str:
    """The hosts of an address, without user, password or options.

    Raises:
        ConfigError: It is no MongoDB address. The address itself is not shown.
    """
    reason = f"it must read {EXAMPLE}"
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ConfigError(f"MONGODB_URI: not a MongoDB address; {reason}.")
    if uri.startswith("mongodb+srv://"):
        return uri.removeprefix("mongodb+srv://").rpartition("@")[2].partition("/")[0]
    try:
        nodes = parse_uri(uri, validate=True, warn=False)["nodelist"]
    except OSError as error:
        reason = f"a file that it names cannot be read ({error.strerror}: {error.filename})"
    except (errors.InvalidURI, errors.ConfigurationError, ValueError) as error:
        reason = f"host, port or an option is wrong; {reason}"
        if "escaped" in str(error):
            reason = "write special characters of user and password as %XX (urllib quote_plus)"
    else:
        return ",".join(f"{host}:{port}" for host, port in nodes)
    raise ConfigError(f"MONGODB_URI: not a MongoDB address; {reason}.")  # the cause may show it


def is_passing(error: errors.PyMongoError) -> bool:
    """Whether the same reading may well succeed a moment later."""
    if isinstance(error, errors.OperationFailure):
        return error.code in PASSING
    return isinstance(error, (errors.ConnectionFailure, errors.CursorNotFound))


def explain(error: errors.PyMongoError, uri: str, source: Source) -> BentolineError:
    """The sentence for what the driver raised while `source` was asked of the server at `uri`."""
    where = server_name(uri)
    place = f"{source.database}.{source.collection}"
    if isinstance(error, errors.OperationFailure):
        return _refusal(error, where, place)
    if isinstance(error, errors.ConfigurationError):
        return ConfigError(f"MONGODB_URI: {where} cannot be used ({_first_words(error)}).")
    if isinstance(error, errors.ConnectionFailure):
        return _silence(error, where, has_tls=TLS_OPTION.search(uri) is not None)
    return StoreError(f"{where}: {place} cannot be reached ({_first_words(error)}).")


def _refusal(error: errors.OperationFailure, where: str, place: str) -> BentolineError:
    said = _first_words(error)
    if error.code == LOGIN_FAILED or "authentication failed" in said.lower():
        return ConfigError(
            f"{where}: the server refuses this user and password; correct them in MONGODB_URI "
            "(a user kept in another database needs ?authSource=NAME)."
        )
    if "requires authentication" in said:
        return ConfigError(
            f"{where}: the server asks for a user and a password; write them into MONGODB_URI, "
            f"{EXAMPLE}."
        )
    if error.code == UNAUTHORIZED:
        return ConfigError(
            f"{where}: the user in MONGODB_URI may not do this on {place} ({said}); grant it "
            "`read` for --train and `readWrite` for --load."
        )
    if error.code in BAD_QUERY:
        return ConfigError(
            f"source.query or source.projection: {where} cannot run it ({said}); correct it in "
            "the problem's YAML."
        )
    return StoreError(f"{where}: the server failed on {place} ({said}); run the command again.")


def _silence(error: errors.ConnectionFailure, where: str, *, has_tls: bool) -> BentolineError:
    if "certificate verify failed" in str(error):
        return ConfigError(
            f"{where}: the server's TLS certificate is not trusted; name the CA that signed it, "
            "MONGODB_URI=...&tlsCAFile=FILE."
        )
    if has_tls:
        return StoreError(
            f"{where}: no MongoDB server answers over TLS, which MONGODB_URI asks for; check that "
            "the server runs and offers TLS, or take tls=true out of the address."
        )
    return StoreError(
        f"{where}: no MongoDB server answers; check MONGODB_URI, that the server runs, and, where "
        "it speaks TLS only, add tls=true."
    )


def _first_words(error: Any) -> str:
    details = getattr(error, "details", None) or {}
    first = next(iter(details.get("writeErrors", ())), details)
    text = first.get("errmsg") or str(error)
    return " ".join(text.partition(", full error")[0].split())[:200].rstrip(".")
