"""The network policies let through what the design needs, and nothing else.

They are evaluated here by the rules of the API (networking.k8s.io/v1): a pod that no policy selects
for a direction is open, one that is selected takes what any of its policies allows.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from deploy.kubernetes.render import overlays
from tests.support.deployment import of_kind, pods

SUITE = "aimass"
METRICS_PORT = 9464
FREE_PORT = 40123


@dataclass(frozen=True)
class Peer:
    """A pod somewhere."""

    namespace: str
    labels: dict[str, str]


def peers(overlay: str) -> dict[str, Peer]:
    """Returns the suite's pods, and strangers."""
    own = {name: Peer(SUITE, pod["metadata"]["labels"]) for name, pod in pods(overlay).items()}
    return {
        **own,
        "client": Peer("team-a", {"aimass-client": "true"}),
        "stranger": Peer("team-a", {"app": "shell"}),
        "neighbour": Peer(SUITE, {"app": "shell"}),
        "dns": Peer("kube-system", {"k8s-app": "kube-dns"}),
        "prometheus": Peer("monitoring", {"app.kubernetes.io/name": "prometheus"}),
        "impostor": Peer("team-a", {"app.kubernetes.io/name": "agent"}),
    }


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector fits."""
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return set(selector.get("matchLabels", {}).items()) <= set(labels.items())


def fits(rule: dict[str, Any], side: str, peer: Peer, port: int, protocol: str) -> bool:
    """Whether a rule of a policy of the suite's namespace allows a peer at a port."""
    ports = rule.get("ports") or [{"protocol": protocol}]
    is_port = any(each["protocol"] == protocol and each.get("port", port) == port for each in ports)
    return is_port and any(_is_meant(each, peer) for each in rule[side])


def _is_meant(meant: dict[str, Any], peer: Peer) -> bool:
    if "namespaceSelector" in meant:
        name = {"kubernetes.io/metadata.name": peer.namespace}
        if not selects(meant["namespaceSelector"], name):
            return False
    elif peer.namespace != SUITE:
        return False
    return selects(meant["podSelector"], peer.labels)


def is_open(overlay: str, direction: str, pod: Peer, other: Peer, port: int, protocol: str) -> bool:
    """Whether a pod's policies of one direction let a connection pass."""
    if pod.namespace != SUITE:
        return True
    found = [
        policy["spec"]
        for policy in of_kind(overlay, "NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], pod.labels)
    ]
    side = "from" if direction == "Ingress" else "to"
    rules = [rule for spec in found for rule in spec.get(direction.lower(), [])]
    return not found or any(fits(rule, side, other, port, protocol) for rule in rules)


def may_connect(overlay: str, source: str, target: str, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection is let out of its source and into its target."""
    known = peers(overlay)
    start, end = known[source], known[target]
    return is_open(overlay, "Egress", start, end, port, protocol) and is_open(
        overlay, "Ingress", end, start, port, protocol
    )


NEEDED = [
    ("catalog", "store", 9000),
    ("trainer", "store", 9000),
    ("outlier", "store", 9000),
    ("analyzer", "store", 9000),
    ("tuner", "store", 9000),
    ("pruner", "store", 9000),
    ("agent-cpu", "store", 9000),
    ("trainer", "catalog", 7700),
    ("trainer", "outlier", 7704),
    ("outlier", "catalog", 7700),
    ("analyzer", "catalog", 7700),
    ("analyzer", "outlier", 7704),
    ("tuner", "catalog", 7700),
    ("tuner", "outlier", 7704),
    ("tuner", "trainer", 7701),
    ("pruner", "catalog", 7700),
    ("pruner", "trainer", 7701),
    ("trainer", "trainer", 7701),
    ("agent-cpu", "trainer", 7701),
    ("agent-cpu", "trainer", FREE_PORT),
    ("agent-cpu", "agent-cpu", FREE_PORT),
    ("client", "catalog", 7700),
    ("client", "trainer", 7701),
    ("client", "outlier", 7704),
    ("client", "analyzer", 7705),
    ("client", "tuner", 7706),
    ("client", "pruner", 7707),
    ("prometheus", "catalog", METRICS_PORT),
    ("prometheus", "trainer", METRICS_PORT),
    ("prometheus", "outlier", METRICS_PORT),
    ("prometheus", "analyzer", METRICS_PORT),
    ("prometheus", "tuner", METRICS_PORT),
    ("prometheus", "pruner", METRICS_PORT),
]


@pytest.mark.parametrize("overlay", overlays())
def test_only_what_is_needed_flows(overlay: str) -> None:
    """Deny by default: every other pair of pods and ports is closed."""
    agents = [name for name in pods(overlay) if name.startswith("agent")]
    needed = {
        (source.replace("agent-cpu", one), target.replace("agent-cpu", other), port)
        for source, target, port in NEEDED
        for one in agents
        for other in agents
    }
    # An agent's health port is one of its ports, and asked for by agents alone.
    ports = [7700, 7701, 7704, 7705, 7706, 7707, 9000, 443, METRICS_PORT, FREE_PORT]
    all_to_agents = {(one, other, port) for one in agents for other in agents for port in ports}
    agents_to_trainer = {(one, "trainer", port) for one in agents for port in ports}
    known = peers(overlay)
    outside = {name for name, peer in known.items() if peer.namespace != SUITE}
    flows = {
        (source, target, port)
        for source in known
        for target in known
        for port in ports
        if not (source in outside and target in outside)
        and may_connect(overlay, source, target, port)
    }
    assert flows == needed | all_to_agents | agents_to_trainer


@pytest.mark.parametrize("overlay", overlays())
def test_rendezvous_is_for_agents(overlay: str) -> None:
    """Horovod's rendezvous unpickles what it gets: only agents reach the trainer's free ports."""
    able = {name for name in peers(overlay) if may_connect(overlay, name, "trainer", FREE_PORT)}
    assert able == {name for name in pods(overlay) if name.startswith("agent")}


@pytest.mark.parametrize("overlay", overlays())
def test_names_are_resolved(overlay: str) -> None:
    """Every pod reaches the name service, and nothing else of the cluster."""
    for name in pods(overlay):
        assert may_connect(overlay, name, "dns", 53, "UDP")
        assert not may_connect(overlay, name, "dns", 443)
