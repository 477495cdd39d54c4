"""What `aimass doctor` looks at: each check says what it found, and the cure."""

import ctypes
import email.utils
import http.client
import importlib.util
import os
import platform
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import grpc

from aimass.analyzer.v1 import analyzer_pb2
from aimass.catalog.v1 import dataset_pb2
from aimass.outlier.v1 import outlier_pb2
from aimass.pruner.v1 import pruner_pb2
from aimass.trainer.v1 import trainer_pb2
from aimass.tuner.v1 import tuner_pb2
from common.cli import text
from common.cli.connection import Clients
from common.cli.context import CliContext
from common.cli.debug import versions
from common.cli.errors import CliError, from_rpc
from common.local.home import Phase, SuiteState
from common.local.ports import HOST, STORE_PORT
from common.services import SERVICE_PORTS
from common.tls import TlsError, TlsFiles

_GIB = 1024**3
_ROOM_NEEDED, _ROOM_WANTED = _GIB, 5 * _GIB
_SHARED_MEMORY = Path("/dev/shm")
_SHARED_NEEDED, _SHARED_WANTED = _GIB // 16, _GIB // 2
_CLOCK_SECONDS = 5.0
_OPENMP = "libgomp.so.1"
_PARTS = {
    "catalog": ("grpc_health", "minio", "psutil", "pydantic_settings", "duckdb", "pyarrow", "PIL"),
    "trainer": ("torch", "onnx", "onnxruntime", "safetensors", "cloudpickle"),
    "outlier": ("torch", "sklearn", "scipy", "numba", "river", "pgmpy", "mlxtend"),
    "analyzer": (
        "torch",
        "sklearn",
        "captum",
        "shap",
        "torchinfo",
        "onnxruntime",
        "skops",
        "plotly",
    ),
    "tuner": ("sklearn", "lightgbm", "numba", "onnx", "onnxruntime", "skops", "plotly"),
    "pruner": ("torch", "sklearn", "lightgbm", "onnx", "onnxruntime", "skops", "plotly"),
}


class Level(StrEnum):
    """How a finding is to be taken."""

    GOOD = "good"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        level: How it is to be taken.
        what: One sentence.
        cure: What to do about it; empty where nothing is wrong.
    """

    level: Level
    what: str
    cure: str = ""


def all_findings(cli: CliContext) -> Iterator[Finding]:
    """Yields the findings of all checks, in the order in which they are worth mending."""
    yield from check_versions()
    yield from check_packages()
    yield from check_home(cli)
    yield from check_room(cli.home.path, "the suite's data", _ROOM_NEEDED, _ROOM_WANTED)
    yield from check_room(_SHARED_MEMORY, "workers' commits", _SHARED_NEEDED, _SHARED_WANTED)
    yield from check_tls()
    state = cli.home.read_state() if cli.home.is_locked() else None
    yield from check_ports() if state is None else check_processes(state)
    yield from check_store(state)
    yield from check_services(cli, state)


def check_versions() -> Iterator[Finding]:
    """Yields whether Python and system are good, and what is installed."""
    found = versions()
    if sys.version_info < (3, 11):  # noqa: UP036  # a copied environment may hold another
        yield Finding(Level.PROBLEM, f"Python is {found['python']}", "install Python 3.11 or newer")
    if platform.system() != "Linux":
        yield Finding(Level.PROBLEM, f"this is {platform.system()}", "run the suite on Linux")
    listed = ", ".join(
        f"{name} {version}"
        for name, version in found.items()
        if name not in ("machine", "collected") and version != "not installed"
    )
    yield Finding(Level.GOOD, f"{listed} on {found['machine']}")


def check_packages() -> Iterator[Finding]:
    """Yields what is missing to run the services on this machine."""
    for part, modules in _PARTS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            what = f"{part} cannot run here: {', '.join(missing)} missing"
            yield Finding(Level.NOTE, what, f"pip install 'aimass[{part}]'")
        else:
            yield Finding(Level.GOOD, f"the packages of {part} are there")
    if importlib.util.find_spec("horovod") is None:
        what = "Horovod is missing: nothing can be trained here"
        yield Finding(Level.NOTE, what, "make setup, in a checkout")
    if importlib.util.find_spec("lightgbm") is not None:
        yield from check_openmp()


def check_openmp() -> Iterator[Finding]:
    """Yields whether LightGBM finds the system's OpenMP, which its wheel does not bring."""
    try:
        ctypes.CDLL(_OPENMP)
    except OSError:
        what = f"the tuner cannot run here: {_OPENMP} missing"
        yield Finding(Level.NOTE, what, "on Debian and Ubuntu: apt install libgomp1")


def check_home(cli: CliContext) -> Iterator[Finding]:
    """Yields whether the state folder can be used, by its owner only."""
    home = cli.home.path
    present = _nearest(home)
    if not os.access(present, os.W_OK):
        cure = "set AIMASS_HOME to a folder of yours"
        yield Finding(Level.PROBLEM, f"{present} cannot be written to", cure)
        return
    for path in (home, cli.home.token_file, home / "store.json"):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            cure = f"chmod go= {path}"
            yield Finding(Level.PROBLEM, f"{path} is open to other users", cure)


def check_room(folder: Path, what_for: str, needed: int, wanted: int) -> Iterator[Finding]:
    """Yields whether there is room.

    Args:
        folder: Where it is needed; need not exist yet.
        what_for: What it is needed for.
        needed: Bytes below which nothing works.
        wanted: Bytes below which it soon gets narrow.
    """
    present = _nearest(folder)
    free = shutil.disk_usage(present).free
    what = f"{text.size(free)} free in {present} for {what_for}"
    if free >= wanted:
        yield Finding(Level.GOOD, what)
        return
    cure = f"make room: {text.size(wanted)} are good, {text.size(needed)} the least"
    if folder == _SHARED_MEMORY:
        cure += "; in a container, give it more --shm-size"
    yield Finding(Level.NOTE if free >= needed else Level.PROBLEM, what, cure)


def check_tls() -> Iterator[Finding]:
    """Yields whether the certificates fit together."""
    try:
        files = TlsFiles.from_environment()
        if files.cert_file is not None:
            files.check_server()
    except TlsError as error:
        yield Finding(Level.PROBLEM, "AIMASS_TLS_* do not fit together", str(error))
        return
    if files.is_on:
        yield Finding(Level.GOOD, f"connections are secured by {files.ca_file}")


def check_ports() -> Iterator[Finding]:
    """Yields which of the usual ports are taken; a suite would take the next free ones."""
    for user, port in {**SERVICE_PORTS, "store": STORE_PORT}.items():
        with socket.socket() as probe:
            probe.settimeout(1.0)
            taken = probe.connect_ex((HOST, port)) == 0
        if taken:
            what = f"port {port} is taken: {user} would get another"
            yield Finding(Level.NOTE, what, "nothing, or stop what uses it")


def check_processes(state: SuiteState) -> Iterator[Finding]:
    """Yields which processes of the local suite do not run."""
    for process in state.processes:
        if process.phase is not Phase.RUNNING:
            what = f"{process.name} is {process.phase} {process.message}".strip()
            yield Finding(Level.PROBLEM, what, f"aimass logs {process.name}")
        elif process.restarts:
            what = f"{process.name} runs, restarted {process.restarts} times"
            yield Finding(Level.NOTE, what, f"aimass logs {process.name}")


def check_store(state: SuiteState | None) -> Iterator[Finding]:
    """Yields whether the object store answers, and whether its clock agrees with ours."""
    endpoint = os.environ.get("AIMASS_S3_ENDPOINT") or (state.store_endpoint if state else "")
    if not endpoint:
        yield from _check_store_program()
        return
    is_secure = os.environ.get("AIMASS_S3_SECURE", "").lower() in ("1", "true", "yes", "on")
    kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    connection = kind(endpoint, timeout=5)
    try:
        began = time.time()
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        now = (began + time.time()) / 2
    except (OSError, http.client.HTTPException) as error:
        cure = "aimass up, or check AIMASS_S3_ENDPOINT and AIMASS_S3_SECURE"
        yield Finding(Level.PROBLEM, f"the store at {endpoint} does not answer: {error}", cure)
        return
    finally:
        connection.close()
    yield Finding(Level.GOOD, f"the store at {endpoint} answers")
    yield from compare_clocks(answer.getheader("Date", ""), now)


def compare_clocks(date: str, now: float) -> Iterator[Finding]:
    """Yields whether two clocks agree.

    Args:
        date: The store's `Date` header.
        now: Our time when it answered, in seconds since 1970.
    """
    try:
        apart = now - email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        yield Finding(Level.NOTE, "the store does not say what time it is", "use another proxy")
        return
    if abs(apart) <= _CLOCK_SECONDS:
        yield Finding(Level.GOOD, "our clock and the store's agree")
        return
    what = f"our clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the store's"
    cure = "set both by NTP: requests are refused from 15 minutes on"
    yield Finding(Level.PROBLEM, what, cure)


def _check_store_program() -> Iterator[Finding]:
    if importlib.util.find_spec("minio") is None:
        return  # Nothing can be run here anyhow; `check_packages` says so.
    from common.local.store import StoreMissingError, find_minio, find_weed  # noqa: PLC0415

    try:
        found = find_minio(os.environ) or find_weed(os.environ)
    except StoreMissingError as error:
        yield Finding(Level.PROBLEM, str(error), "unset it, or name MinIO's program")
        return
    if found:
        yield Finding(Level.GOOD, f"the object store is {found}")
        return
    cure = "make setup, put minio on PATH, or set AIMASS_S3_ENDPOINT"
    yield Finding(Level.PROBLEM, "there is no object store", cure)


def check_services(cli: CliContext, state: SuiteState | None) -> Iterator[Finding]:
    """Yields whether the services let us in, and whether there is anybody to train."""
    try:
        clients = cli.clients
    except CliError as error:
        yield Finding(Level.NOTE, error.message.rstrip("."), error.hint)
        return
    except TlsError:
        return  # `check_tls` has said so.
    try:
        for who, where in _answering(clients):
            yield Finding(Level.GOOD, f"{who} answers at {where}")
        agents = clients.training.ListAgents(trainer_pb2.ListAgentsRequest(), timeout=5).agents
    except grpc.RpcError as error:
        said = from_rpc(error)
        yield Finding(Level.PROBLEM, said.message.rstrip("."), said.hint or "aimass status")
        return
    slots = sum(agent.slots for agent in agents)
    if slots:
        yield Finding(Level.GOOD, f"{len(agents)} agents with {slots} slots are ready to train")
    else:
        cure = "aimass down, then aimass up --agents 2" if state else "start agents"
        yield Finding(Level.NOTE, "no agent is there: runs wait", cure)


def _answering(clients: Clients) -> Iterator[tuple[str, str]]:
    """Asks one service after the other for little, and yields who has answered, and where."""
    at = clients.endpoint.addresses
    clients.datasets.ListDatasets(dataset_pb2.ListDatasetsRequest(page_size=1), timeout=5)
    yield "the catalog", at["catalog"]
    trainings = trainer_pb2.ListTrainingRunsRequest(page_size=1)
    clients.training.ListTrainingRuns(trainings, timeout=5)
    yield "the trainer", at["trainer"]
    scans = outlier_pb2.ListOutlierScansRequest(page_size=1)
    clients.outliers.ListOutlierScans(scans, timeout=5)
    yield "the outlier service", at["outlier"]
    clients.analyses.ListAnalyses(analyzer_pb2.ListAnalysesRequest(page_size=1), timeout=5)
    yield "the analyzer", at["analyzer"]
    clients.tuning.ListTuningRuns(tuner_pb2.ListTuningRunsRequest(page_size=1), timeout=5)
    yield "the tuner", at["tuner"]
    clients.pruning.ListPruningRuns(pruner_pb2.ListPruningRunsRequest(page_size=1), timeout=5)
    yield "the pruner", at["pruner"]


def _nearest(path: Path) -> Path:
    """Returns the path, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())
