"""Network namespaces joined by a bridge, as hosts on a switch whose cables can be pulled."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Files here are seen in a namespace in place of those in /etc.
_FILES = Path("/etc/netns")


@dataclass(frozen=True)
class Host:
    """A network namespace.

    Attributes:
        name: Its name.
        address: Its address.
    """

    name: str
    address: str

    @property
    def within(self) -> Sequence[str]:
        """Program that starts another in this namespace."""
        return ("ip", "netns", "exec", self.name)


class Switch:
    """A bridge on this host, and hosts that hang on it.

    Attributes:
        address: The address of this host on the bridge.
        hosts: The others.
    """

    def __init__(self, count: int) -> None:
        """Names hosts; `open` makes them.

        Args:
            count: How many.
        """
        self._mark = secrets.token_hex(2)
        network = f"10.{100 + secrets.randbelow(100)}.{secrets.randbelow(250)}"
        self.address = f"{network}.1"
        self.hosts = [
            Host(f"aimass-{self._mark}-{number}", f"{network}.{number + 1}")
            for number in range(1, count + 1)
        ]

    def _port(self, host: Host) -> str:
        return f"am{self._mark}{self.hosts.index(host)}"

    @property
    def _bridge(self) -> str:
        return f"am{self._mark}br"

    def _name_hosts(self) -> None:
        """Has each host's own name mean its address: that is where Horovod's Gloo listens."""
        for host in self.hosts:
            folder = _FILES / host.name
            folder.mkdir(parents=True)
            lines = ["127.0.0.1 localhost", f"{host.address} {socket.gethostname()}"]
            (folder / "hosts").write_text("\n".join(lines) + "\n")

    def open(self) -> None:
        """Makes bridge and namespaces. Raises `PermissionError` where this is not allowed."""
        self._name_hosts()
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for host in self.hosts:
            port = self._port(host)
            _ip("netns", "add", host.name)
            _ip(
                *("link", "add", port, "type", "veth"),
                *("peer", "name", "eth0", "netns", host.name),
            )
            _ip("link", "set", port, "master", self._bridge, "up")
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.name, "link", "set", "eth0", "up")
            _ip("-n", host.name, "link", "set", "lo", "up")

    def cut(self, host: Host) -> None:
        """Pulls a host's cable: nobody is told, packets get lost."""
        _ip("link", "set", self._port(host), "down")

    def mend(self, host: Host) -> None:
        """Plugs a host's cable in again."""
        _ip("link", "set", self._port(host), "up")

    def close(self) -> None:
        """Removes what is there."""
        for host in self.hosts:
            shutil.rmtree(_FILES / host.name, ignore_errors=True)
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True, check=False)
        command = ["ip", "link", "delete", self._bridge]
        subprocess.run(command, capture_output=True, check=False)


def why_not() -> str:
    """Returns why this machine has no namespaces for tests; empty where it has."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and the ip program"
    name = f"aimass-{secrets.token_hex(2)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"network namespaces are not permitted: {made.stderr.strip()}"
    _ip("netns", "delete", name)
    return ""


@contextmanager
def switch(count: int) -> Iterator[Switch]:
    """Makes hosts for a test, and removes them."""
    made = Switch(count)
    try:
        made.open()
        yield made
    finally:
        made.close()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
