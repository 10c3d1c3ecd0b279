"""Target kubernetes: manifests that the API takes, and that ask for what every container has."""

import copy
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from deploy.host.docker import HARDENED, PORT, STOP_S
from deploy.image import Release
from deploy.kubernetes import manifests, object_name, write_manifests
from tabular.errors import ConfigError
from tabular.serving import Serving

ROOT = Path(__file__).parents[2]
API = "1.37"
IMAGE = f"1.dkr.ecr.eu-west-1.amazonaws.com/bentoline@sha256:{'ab' * 32}"
RELEASE = Release(problem="food_delivery", version="v3", commit="0123456789ab", bundle="cd")
SERVING = Serving(port=5080, workers=3)


@pytest.fixture(scope="module")
def objects():
    return {one["kind"]: one for one in manifests(IMAGE, RELEASE, SERVING)}


@pytest.fixture(scope="module")
def pod(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    (only,) = pod["containers"]
    return only


def check(given):
    kubernetes_validate.validate(given, API, strict=True)


def changed(given, path, value):
    """A copy with the value at a path of keys and places."""
    *path, last = path
    whole = part = copy.deepcopy(given)
    for key in path:
        part = part[key]
    part[last] = value
    return whole


def test_the_api_takes_every_object(objects):
    assert list(objects) == [
        "ServiceAccount", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment",
        "HorizontalPodAutoscaler",
    ]  # fmt: skip
    for one in objects.values():
        check(one)


CONTAINER = ("spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", (*CONTAINER, "securityContext", "readOnlyRootFilesytem"), True),
        ("Deployment", (*CONTAINER, "ports", 0, "containerPort"), "8000"),
        ("Deployment", (*CONTAINER, "livenessProbe", "httpGet"), {"path": "/livez"}),
        ("Deployment", ("spec",), {"template": {}}),
        ("Service", ("spec", "ports", 0, "targetport"), "http"),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), "10"),
        ("PodDisruptionBudget", ("spec", "maxUnavailable"), [1]),
        ("NetworkPolicy", ("spec", "egress"), {"ports": []}),
        ("ServiceAccount", ("automountServiceAccountToken",), "no"),
    ],
)
def test_the_api_refuses_a_changed_object(objects, kind, path, value):
    with pytest.raises(kubernetes_validate.ValidationError):
        check(changed(objects[kind], path, value))


def test_a_pod_is_hardened_as_every_container_is(pod, container):
    own = container["securityContext"]
    (volume,) = pod["volumes"]
    size = volume["emptyDir"]["sizeLimit"].removesuffix("Mi")
    as_flags = {
        "--init": pod["shareProcessNamespace"],
        "--read-only": own["readOnlyRootFilesystem"],
        f"--tmpfs=/tmp:rw,noexec,nosuid,size={size}m,mode=1777": (
            volume["emptyDir"]["medium"] == "Memory"
            and container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]  # noqa: S108
        ),
        "--cap-drop=ALL": own["capabilities"] == {"drop": ["ALL"]},
        "--security-opt=no-new-privileges": own["allowPrivilegeEscalation"] is False,
    }
    nodes_own = {"--pids-limit=256"}  # the kubelet's podPidsLimit: a pod cannot ask for it
    assert as_flags.keys() | nodes_own == set(HARDENED)
    assert all(as_flags.values())
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False


def test_user_port_and_probes_are_those_of_the_image(pod, container):
    dockerfile = (ROOT / "Dockerfile").read_text()
    own = pod["securityContext"]
    assert own["runAsNonRoot"]
    assert f"USER {own['runAsUser']}:{own['runAsGroup']}\n" in dockerfile
    assert container["ports"] == [{"name": "http", "containerPort": PORT}]
    interval, timeout, retries = map(
        int, re.search(r"--interval=(\d+)s --timeout=(\d+)s .*--retries=(\d+)", dockerfile).groups()
    )
    assert container["readinessProbe"] == {
        "httpGet": {"path": "/readyz", "port": "http"},
        "periodSeconds": interval,
        "timeoutSeconds": timeout,
        "failureThreshold": retries,
    }
    assert container["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert pod["terminationGracePeriodSeconds"] > STOP_S


@pytest.mark.parametrize("workers", [1, 4])
def test_a_core_is_asked_for_each_worker_and_memory_grows_with_them(workers):
    (only,) = _pod_of(Serving(workers=workers))["containers"]
    asked, limits = only["resources"]["requests"], only["resources"]["limits"]
    assert only["env"] == [{"name": "BENTOLINE_WORKERS", "value": str(workers)}]
    assert asked["cpu"] == str(workers)
    assert "cpu" not in limits
    assert limits["memory"] == asked["memory"] == f"{192 + 192 * workers}Mi"


def _pod_of(serving):
    return next(
        one["spec"]["template"]["spec"]
        for one in manifests(IMAGE, RELEASE, serving)
        if one["kind"] == "Deployment"
    )


def test_every_part_finds_the_pods_whatever_the_version(objects):
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
    ]
    assert all(one == selectors[0] for one in selectors)
    assert selectors[0].items() <= labels.items()
    assert RELEASE.version not in selectors[0].values()
    name = objects["Deployment"]["metadata"]["name"]
    assert objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == name
    assert objects["Service"]["spec"]["ports"][0]["port"] == SERVING.port
    assert "replicas" not in objects["Deployment"]["spec"]


def test_the_file_of_an_earlier_release_is_replaced(tmp_path):
    write_manifests(IMAGE, RELEASE, SERVING, tmp_path)
    newer = RELEASE.model_copy(update={"version": "v4"})
    path = write_manifests(IMAGE, newer, SERVING, tmp_path)
    assert path == tmp_path / "kubernetes" / "food_delivery.yaml"
    assert list(yaml.safe_load_all(path.read_text())) == manifests(IMAGE, newer, SERVING)
    assert list(path.parent.iterdir()) == [path]


def test_an_image_without_a_digest_writes_nothing(tmp_path):
    with pytest.raises(ConfigError, match=r"'bentoline:v3' has no digest.*--target ecr"):
        write_manifests("bentoline:v3", RELEASE, SERVING, tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_are_such_that_a_cluster_takes_them():
    assert object_name("Food_delivery_") == "bentoline-food-delivery"
    with pytest.raises(ConfigError, match=r"at most 63 letters, and 'bentoline-a+' has 64"):
        object_name("a" * 54)
