"""Which processes a suite has, and what they are told."""

from contextlib import closing
from pathlib import Path

import pytest

from common.local.home import SuiteHome
from common.local.plan import SuiteOptions, SuitePlan, make_plan
from common.local.ports import PortReservations
from common.local.store import Store
from common.services import SERVICE_PORTS


def plan_in(folder: Path) -> SuitePlan:
    home = SuiteHome(folder / "home")
    home.create()
    with closing(PortReservations(folder / "ports")) as ports:
        store = Store("external", "store.test:9000", {})
        return make_plan("suite", home, SuiteOptions(agents=1), store, ports)


def test_each_service_serves_its_own_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One variable for the suite gives each service a port of its own, and agents none."""
    monkeypatch.delenv("AIMASS_METRICS_PORT", raising=False)
    plan = plan_in(tmp_path)
    assert all("AIMASS_METRICS_PORT" not in each.environment for each in plan.services)
    monkeypatch.setenv("AIMASS_METRICS_PORT", "7790")
    plan = plan_in(tmp_path)
    given = [int(each.environment["AIMASS_METRICS_PORT"]) for each in plan.services]
    assert len(set(given)) == len(plan.services) and min(given) >= 7790
    assert "AIMASS_METRICS_PORT" not in plan.agents[0].environment


@pytest.mark.parametrize("port", ["many", "80", "65536", "70000"])
def test_what_is_no_port_for_metrics_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    """Protects from a suite that starts and then cannot bind."""
    monkeypatch.setenv("AIMASS_METRICS_PORT", port)
    with pytest.raises(ValueError, match=f"AIMASS_METRICS_PORT={port}: .* 1024 to 65535"):
        plan_in(tmp_path)


def test_certificates_reach_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite is secured as a whole or not at all."""
    monkeypatch.setenv("AIMASS_TLS_CA_FILE", "/pki/ca.pem")
    plan = plan_in(tmp_path)
    for program in (*plan.services, *plan.agents):
        assert program.environment["AIMASS_TLS_CA_FILE"] == "/pki/ca.pem"


def test_every_process_knows_where_the_services_are(tmp_path: Path) -> None:
    """A service that is not named is looked for at its usual port, where another suite may be."""
    plan = plan_in(tmp_path)
    assert [each.name for each in plan.services] == list(SERVICE_PORTS)
    for service in plan.services:
        variable = f"AIMASS_{service.name.upper()}_ADDRESS"
        assert plan.addresses[service.name] == service.address
        for program in (*plan.services, *plan.agents):
            assert program.environment[variable] == service.address


def test_services_are_asked_whether_they_live(tmp_path: Path) -> None:
    """A service that nobody asks stays frozen for good."""
    assert all(program.answers is not None for program in plan_in(tmp_path).services)
