"""Target kubernetes: the manifests of a pushed image, as it runs on every other target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from deploy.container import READY_S
from deploy.host.docker import PORT, STOP_S, TMP_MB
from deploy.image import NAME, Release
from tabular.errors import ConfigError
from tabular.files import whole_file
from tabular.serving import Serving

FOLDER = "kubernetes"  # under home, a file for each problem
USER = 10001  # of the image; the Dockerfile says so too
MAX_NAME = 63  # letters of a Service's name
N_PODS, MAX_PODS = 2, 10
BUSY_PERCENT = 70  # of the CPU that is asked for; above it a pod is added
# A worker holds about 90 MB before its first request (README); the rest is for the requests in
# work and the tmpfs, whose pages count as the container's.
WORKER_MB, SPARE_MB = 192, 192
SPREAD_OVER = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
LEAVE_S = 5  # a pod answers on while the cluster's nodes learn that it leaves


def write_manifests(image: str, release: Release, serving: Serving, home: Path) -> Path:
    """Write all that a cluster needs into one file, for `kubectl apply`.

    Args:
        image: Its full name by digest, as a node pulls it.
        release: What it is called.
        serving: Workers and port, as the bundle has them.
        home: Takes `kubernetes/PROBLEM.yaml`; the file of an earlier release is replaced.

    Raises:
        ConfigError: The image is not named by digest, or the problem's name is too long.
        StoreError: The file cannot be written.
    """
    path = home / FOLDER / f"{release.problem}.yaml"
    text = yaml.safe_dump_all(manifests(image, release, serving), sort_keys=False)
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return path


def manifests(image: str, release: Release, serving: Serving) -> list[dict[str, Any]]:
    """The objects of one release, in the order in which a cluster should get them.

    Raises:
        ConfigError: The image is not named by digest, or the problem's name is too long.
    """
    if "@sha256:" not in image:
        raise ConfigError(
            f"kubernetes: the image '{image}' has no digest, so that nodes could run different "
            "ones; push it first by run.py --deploy --target ecr."
        )
    name = object_name(release.problem)
    return [
        _object("v1", "ServiceAccount", name, release, automountServiceAccountToken=False),
        _object("networking.k8s.io/v1", "NetworkPolicy", name, release, spec=_traffic(release)),
        _object("v1", "Service", name, release, spec=_service(release, serving)),
        _object("policy/v1", "PodDisruptionBudget", name, release, spec=_disruption(release)),
        _object("apps/v1", "Deployment", name, release, spec=_deployment(image, release, serving)),
        _object("autoscaling/v2", "HorizontalPodAutoscaler", name, release, spec=_scaling(name)),
    ]


def object_name(problem: str) -> str:
    """What a problem's objects are called: a cluster takes small letters, digits and '-' alone.

    Raises:
        ConfigError: It is too long for a Service.
    """
    name = f"{NAME}-{problem.lower().replace('_', '-')}".rstrip("-")
    if len(name) > MAX_NAME:
        raise ConfigError(
            f"kubernetes: a Service's name has at most {MAX_NAME} letters, and '{name}' has "
            f"{len(name)}; give the problem a shorter name."
        )
    return name


def _object(version: str, kind: str, name: str, release: Release, **rest: Any) -> dict[str, Any]:
    labels = {**_own_pods(release), "app.kubernetes.io/version": release.version}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "labels": labels, "annotations": release.labels},
        **rest,
    }


def _own_pods(release: Release) -> dict[str, str]:
    """What finds the pods of a problem; never the version, since a selector cannot change."""
    instance = object_name(release.problem)
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": instance}


def _traffic(release: Release) -> dict[str, Any]:
    """In: the service's port. Out: names, and TLS to a registry or prediction log in S3."""
    names = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return {
        "podSelector": {"matchLabels": _own_pods(release)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": PORT, "protocol": "TCP"}]}],
        "egress": [{"ports": [*names, {"port": 443, "protocol": "TCP"}]}],
    }


def _service(release: Release, serving: Serving) -> dict[str, Any]:
    return {
        "selector": _own_pods(release),
        "ports": [{"name": "http", "port": serving.port, "targetPort": "http"}],
    }


def _disruption(release: Release) -> dict[str, Any]:
    return {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": _own_pods(release)},
    }


def _scaling(name: str) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": BUSY_PERCENT}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": N_PODS,
        "maxReplicas": MAX_PODS,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }


def _deployment(image: str, release: Release, serving: Serving) -> dict[str, Any]:
    """Without `replicas`: each apply would undo what the autoscaler found."""
    labels = {**_own_pods(release), "app.kubernetes.io/version": release.version}
    return {
        "selector": {"matchLabels": _own_pods(release)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "template": {
            "metadata": {"labels": labels, "annotations": release.labels},
            "spec": _pod(image, release, serving),
        },
    }


def _pod(image: str, release: Release, serving: Serving) -> dict[str, Any]:
    name = object_name(release.problem)
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # its BENTOLINE_* variables are not settings of ours
        "shareProcessNamespace": True,  # the server is not process 1, as by the engine's --init
        "terminationGracePeriodSeconds": LEAVE_S + STOP_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            _spread(release, key)
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
        "containers": [_container(image, name, serving)],
        "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": f"{TMP_MB}Mi"}}],
    }


def _spread(release: Release, key: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _own_pods(release)},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _container(image: str, name: str, serving: Serving) -> dict[str, Any]:
    memory = f"{SPARE_MB + WORKER_MB * serving.workers}Mi"
    return {
        "name": NAME,
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        # Said again, since the CPU below is counted by it: `env` goes before `envFrom`.
        "env": [{"name": "BENTOLINE_WORKERS", "value": str(serving.workers)}],
        "envFrom": [
            {"configMapRef": {"name": name, "optional": True}},
            {"secretRef": {"name": name, "optional": True}},
        ],
        # A worker answers on one core. No limit of CPU: it would only make busy pods slow.
        "resources": {
            "requests": {"cpu": str(serving.workers), "memory": memory},
            "limits": {"memory": memory},
        },
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # the container's
        "startupProbe": {**_probe("/readyz", period_s=1), "failureThreshold": int(READY_S)},
        "readinessProbe": _probe("/readyz", period_s=5),
        "livenessProbe": _probe("/livez", period_s=10),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(LEAVE_S)]}}},
    }


def _probe(path: str, *, period_s: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 3,
        "failureThreshold": 3,
    }
