"""`aimass debug`: all that is known of a run in one archive, without secrets."""

import io
import json
import os
import platform
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format

from common.cli import text
from common.cli.context import CliContext, context_of
from common.cli.log_lines import last_bytes
from common.cli.run_kinds import NAMES, calls_for, full_name
from common.host.disk import telling_full_disk
from common.local.home import SuiteHome
from common.secrets import is_secret

_LOG_BYTES = 4 * 1024 * 1024
_REMOVED = "[removed]"
_PACKAGES = (
    "aimass",
    "grpcio",
    "protobuf",
    "torch",
    "horovod",
    "duckdb",
    "pyarrow",
    "numpy",
    "scikit-learn",
    "lightgbm",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(debug)


def debug(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=NAMES)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the archive goes.")
    ] = None,
) -> None:
    """Collect a run's record, events, logs, versions and settings in one archive."""
    cli = context_of(context)
    full = full_name(name)
    path = output or Path(f"aimass-debug-{full.rpartition('/')[2]}.tar.gz")
    # The archive appears once it is whole, whatever ends the command before.
    partial = path.with_name(f".{path.name}.part")
    try:
        with telling_full_disk(path.absolute().parent):
            count = _pack(cli, full, partial, path.name.removesuffix(".tar.gz"))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    cli.console.print(f"{path}: {count} files, {text.size(path.stat().st_size)}, no secrets")


def _pack(cli: CliContext, run: str, path: Path, folder: str) -> int:
    """Writes the archive. Returns the number of its files."""
    hidden = secrets_of(cli.home, os.environ)
    count = 0
    with tarfile.open(path, "w:gz") as archive:
        for entry, content in _contents(cli, run):
            _add(archive, f"{folder}/{entry}", without(content, hidden))
            count += 1
    return count


def _contents(cli: CliContext, run: str) -> Iterator[tuple[str, str]]:
    """Yields names and contents of the archive's files."""
    calls = calls_for(cli.clients, run)
    # First, so that an unknown run is said before anything is collected.
    yield "run.json", json_format.MessageToJson(calls.get(run), preserving_proto_field_name=True)
    lines = (
        json_format.MessageToJson(event, preserving_proto_field_name=True, indent=None)
        for event in calls.events_so_far(run)
    )
    yield "events.jsonl", "".join(f"{line}\n" for line in lines)
    yield "versions.json", json.dumps(versions(), indent=2)
    yield "settings.json", json.dumps(settings(os.environ), indent=2)
    state = cli.home.read_state()
    if state is not None:
        yield "suite.json", state.to_json()
    own = cli.home.log_file(run.replace("/", "-"))
    for log in sorted(cli.home.log_folder.glob("*.log")):
        # Logs of other runs say nothing about this one.
        if log == own or "-" not in log.stem or log.stem.startswith("agent-"):
            yield f"logs/{log.name}", last_bytes(log, _LOG_BYTES)


def versions() -> dict[str, str]:
    """Returns the versions of the machine and of what matters on it."""
    found = {"python": platform.python_version(), "machine": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found | {"collected": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that the suite reads; secrets show only that they are set."""
    return {
        name: _REMOVED if is_secret(name) else value
        for name, value in sorted(environment.items())
        if name.startswith(("AIMASS_", "OTEL_", "HOROVOD_", "GRPC_"))
    }


def secrets_of(home: SuiteHome, environment: Mapping[str, str]) -> list[str]:
    """Returns the secrets that the archive must not hold, wherever they may have got to."""
    found = {value for name, value in environment.items() if is_secret(name)}
    if home.token_file.exists():
        found.update(home.tokens().values())
    found.update(home.store_credentials())
    return sorted((value for value in found if len(value) >= 8), key=len, reverse=True)


def without(content: str, secrets: list[str]) -> str:
    """Returns the content with every secret, and whatever a bearer showed, removed."""
    for secret in secrets:
        content = content.replace(secret, _REMOVED)
    return re.sub(r"(?i)(bearer )[\w.~+/=-]{8,}", rf"\1{_REMOVED}", content)


def _add(archive: tarfile.TarFile, name: str, content: str) -> None:
    data = content.encode()
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), int(time.time()), 0o600
    archive.addfile(member, io.BytesIO(data))
