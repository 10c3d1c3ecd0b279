"""Servers: ZenML's, MLflow's and MongoDB's; reachable, of the right version, and known to us."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http.client import HTTPException
from importlib import metadata
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tabular.errors import ConfigError, StoreError

TIMEOUT_S = 4


def zenml_server(url: str) -> str:
    """The server of ZENML_STORE_URL, whose version must be the client's."""
    told = _get(f"{url.rstrip('/')}/api/v1/info", "ZENML_STORE_URL", {})
    ours, theirs = metadata.version("zenml"), str(told.get("version", "unknown"))
    if ours.split(".")[:2] != theirs.split(".")[:2]:
        raise ConfigError(
            f"ZENML_STORE_URL: the server is ZenML {theirs}, and this environment {ours}; bring "
            f"the server to {ours}, or use the release of this project that locks {theirs}."
        )
    return f"ZenML {theirs}"


def mlflow_server(url: str, environ: Mapping[str, str]) -> str:
    """The server of MLFLOW_TRACKING_URI: it must list experiments for us."""
    if not url.startswith(("http://", "https://")):
        return url
    parts = urlsplit(url)
    login = _login(environ, parts.username, parts.password)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    query = "api/2.0/mlflow/experiments/search?max_results=1"
    _get(f"{bare}/{query}", "MLFLOW_TRACKING_URI", login)
    return "answers"


def mongodb(uri: str) -> str:
    """The server of MONGODB_URI: it must let us in."""
    from pymongo import MongoClient
    from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure

    from tabular.mongo.errors import server_name

    where = server_name(uri)
    limit_ms = TIMEOUT_S * 1000
    try:
        with MongoClient[dict[str, Any]](
            uri, serverSelectionTimeoutMS=limit_ms, connectTimeoutMS=limit_ms,
            socketTimeoutMS=limit_ms,
        ) as client:  # fmt: skip
            client.admin.command("ping")
            client.get_database("admin").list_collection_names()
    except (ConnectionFailure, ConfigurationError):
        raise StoreError(
            f"MONGODB_URI: the server at {where} cannot be reached; check that it runs, its port, "
            "and whether it asks for TLS."
        ) from None  # the cause may show the address
    except OperationFailure as error:
        if error.code == 18:  # AuthenticationFailed
            raise StoreError(
                f"MONGODB_URI: the server at {where} does not accept user and password; mend them "
                "there, and add ?authSource=admin where the user belongs to another database."
            ) from None
    return where


def _login(environ: Mapping[str, str], user: str | None, password: str | None) -> dict[str, str]:
    """As MLflow's own client does: a token, or what the environment or the address names."""
    if token := environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = environ.get("MLFLOW_TRACKING_USERNAME") or user
    password = environ.get("MLFLOW_TRACKING_PASSWORD") or password
    if not user:
        return {}
    text = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def _get(url: str, variable: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The JSON that a server answers; its address is shown without user and password."""
    where = urlsplit(url).hostname or "no host"
    try:
        with urlopen(Request(url, headers=dict(headers)), timeout=TIMEOUT_S) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except HTTPError as error:
        if error.code in (401, 403):
            raise StoreError(
                f"{variable}: {where} does not let us in ({error.code}); check user, password or "
                "token."
            ) from error
        raise StoreError(f"{variable}: {where} answers {error.code}; check the address.") from error
    except ValueError as error:
        raise StoreError(
            f"{variable}: {where} answers, and not as such a server does; check the address."
        ) from error
    except (URLError, OSError, HTTPException) as error:
        raise StoreError(
            f"{variable}: {where} cannot be reached; start the server, or mend the address."
        ) from error
