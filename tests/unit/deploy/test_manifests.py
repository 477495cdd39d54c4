"""The Kubernetes manifests are valid, complete, and give processes no right they do not need."""

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.kubernetes.render import overlays, render, validate
from deploy.secret_files import make_secrets
from tests.support.deployment import (
    ROOT,
    containers,
    documented_settings,
    manifests,
    missing_modules,
    of_kind,
    pods,
)

PODS = [(overlay, name) for overlay in overlays() for name in pods(overlay)]
each_overlay = pytest.mark.parametrize("overlay", overlays())
each_pod = pytest.mark.parametrize(("overlay", "name"), PODS)


@each_overlay
def test_manifests_fit_the_schemas(overlay: str) -> None:
    """A misspelt field is dropped silently by the cluster: here it is an error."""
    for manifest in manifests(overlay):
        validate(manifest)


@each_overlay
def test_all_that_is_referred_to_exists(overlay: str) -> None:
    """Settings, services and selectors name objects of the same overlay."""
    maps = {each["metadata"]["name"] for each in of_kind(overlay, "ConfigMap")}
    labels = [pod["metadata"]["labels"].items() for pod in pods(overlay).values()]
    for pod in pods(overlay).values():
        for container in containers(pod):
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in maps
    for each in of_kind(overlay, "Service", "PodDisruptionBudget"):
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector).items()
        assert sum(wanted <= own for own in labels) == 1, each["metadata"]["name"]
    services = {each["metadata"]["name"] for each in of_kind(overlay, "Service")}
    for each in of_kind(overlay, "StatefulSet"):
        assert each["spec"]["serviceName"] in services
    assert {each["metadata"]["namespace"] for each in of_kind(overlay, "Service")} == {"aimass"}


@each_pod
def test_pods_are_confined(overlay: str, name: str) -> None:
    """No root, no capabilities, nothing to write to but volumes, no way to the cluster's API."""
    pod = pods(overlay)[name]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False  # a service named aimass would set AIMASS_PORT
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(pods(overlay)[name]):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
        assert not any("hostPath" in volume for volume in pod["volumes"])


@each_pod
def test_processes_and_their_settings_exist(overlay: str, name: str) -> None:
    """A variable that nothing reads, or a module that is gone, breaks a deployment only."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(overlay, "ConfigMap")}
    found = list(containers(pods(overlay)[name]))
    assert found
    for container in found:
        own = {entry["name"] for entry in container.get("env", [])}
        shared = [maps[each["configMapRef"]["name"]] for each in container.get("envFrom", [])]
        used = own.union(*shared)
        assert not {each for each in used if each.startswith("AIMASS_")} - documented_settings()
        assert not list(missing_modules([container["args"]]))


@each_pod
def test_probes_ask_the_port_that_is_served(overlay: str, name: str) -> None:
    """Every process is asked by gRPC health, the store by its own."""
    (container,) = pods(overlay)[name]["spec"]["containers"]
    (port,) = container["ports"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[kind]
        if name == "store":
            assert probe["httpGet"]["port"] == port["name"]
        else:
            assert probe["grpc"]["port"] == port["containerPort"] == int(values["AIMASS_PORT"])


@each_overlay
def test_metrics_are_announced_where_they_are_served(overlay: str) -> None:
    """Prometheus finds the port that the services were given."""
    (settings,) = (each["data"] for each in of_kind(overlay, "ConfigMap"))
    for name in ("catalog", "trainer", "outlier", "analyzer", "tuner", "pruner"):
        notes = pods(overlay)[name]["metadata"]["annotations"]
        assert notes["prometheus.io/scrape"] == "true"
        assert notes["prometheus.io/port"] == settings["AIMASS_METRICS_PORT"]


@each_pod
def test_writable_places_are_volumes(overlay: str, name: str) -> None:
    """Temporary files, caches and commits go where the root file system's lock does not reach."""
    mounts = {
        mount["mountPath"]
        for container in containers(pods(overlay)[name])
        for mount in container["volumeMounts"]
        if not mount.get("readOnly")
    }
    needed = {"store": {"/data"}, "catalog": {"/scratch"}}
    usual = {"/cache", "/dev/shm"} if name.startswith("agent") else set()
    assert mounts == {"/tmp"} | needed.get(name, usual)


@each_overlay
def test_secrets_are_references_that_the_page_makes(overlay: str) -> None:
    """No manifest holds a secret; each name and file is one that deploy/README.md makes."""
    page = (ROOT / "deploy/README.md").read_text()
    assert not of_kind(overlay, "Secret")
    volumes = itertools.chain.from_iterable(
        pod["spec"]["volumes"] for pod in pods(overlay).values()
    )
    for name in {name for volume in volumes for name in _secrets_of(volume)}:
        assert f"create secret generic {name} " in page


def _secrets_of(volume: dict[str, Any]) -> list[str]:
    if "secret" in volume:
        return [volume["secret"]["secretName"]]
    sources = volume.get("projected", {}).get("sources", [])
    return [source["secret"]["name"] for source in sources if "secret" in source]


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    """A second start keeps the secrets; nobody but their owner can read them."""
    make_secrets(tmp_path)
    files = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    make_secrets(tmp_path)
    assert files == {path: path.read_text() for path in files}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    names = {str(path.relative_to(tmp_path)) for path in files}
    assert {"tokens.json", "service/aimass_token", "store/aimass_s3_secret_key"} <= names


def test_gpu_agents_ask_for_their_device() -> None:
    """An agent of the GPU class says what it has, and is given that much."""
    (agent,) = pods("gpu")["agent-gpu"]["spec"]["containers"]
    assert agent["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "AIMASS_AGENT_DEVICES", "value": '["cuda:0"]'} in agent["env"]


def test_kustomize_errors_are_raised(capfd: pytest.CaptureFixture[str]) -> None:
    """A broken overlay is not an empty one."""
    with pytest.raises(subprocess.CalledProcessError):
        render("no-such-overlay")
    assert "no-such-overlay" in capfd.readouterr().err
