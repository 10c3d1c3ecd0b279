"""What ends a release, as one sentence; the hooks print it and the deployment shows it."""

from __future__ import annotations


class HostError(Exception):
    """The host or the registry does not do what a release needs."""

    exit_code = 2


class UnfitError(HostError):
    """The new container must not serve: it ends, is not ready, answers otherwise, or is slow."""

    exit_code = 1
