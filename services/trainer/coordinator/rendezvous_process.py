"""The process that serves Horovod's rendezvous: one server for each world.

Reads a `WorldRequest` as JSON from each line of its input, answers with a line of JSON: the
environment of each worker, by rank. Ends when its input ends.
"""

import json
import sys
import threading
from socketserver import TCPServer
from typing import TextIO

from horovod.runner.common.util.hosts import HostInfo, get_host_assignments
from horovod.runner.gloo_run import create_run_env_vars, create_slot_env_vars
from horovod.runner.http.http_server import (
    RendezvousHandler,
    RendezvousHTTPServer,
    RendezvousServer,
)

from services.trainer.coordinator.rendezvous import WorldRequest


class _HttpServer(RendezvousHTTPServer):  # type: ignore[misc]  # horovod has no types
    daemon_threads = True

    def server_bind(self) -> None:
        # HTTPServer asks the name service for the host's name, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


class _BoundServer(RendezvousServer):  # type: ignore[misc]  # horovod has no types
    """Horovod's server on one address: its own listens on all of them."""

    def start_at(self, address: str) -> int:
        """Starts on a free port and returns it."""
        self._httpd = _HttpServer((address, 0), RendezvousHandler, self._verbose)
        self._listen_thread = threading.Thread(target=self._httpd.serve_forever, daemon=True)
        self._listen_thread.start()
        return int(self._httpd.server_address[1])

    def close(self) -> None:
        """Stops, which takes up to half a second."""
        self.stop()
        self._httpd.server_close()


def serve(requests: TextIO, answers: TextIO) -> None:
    """Serves worlds until there are no more requests.

    Args:
        requests: Lines of `WorldRequest`.
        answers: Takes a line for each: a list of environments by rank.
    """
    before: _BoundServer | None = None
    for line in requests:
        request = WorldRequest.decode(line)
        server = _BoundServer()
        port = server.start_at(request.address)
        answers.write(json.dumps(_environments(server, port, request)) + "\n")
        answers.flush()
        if before is not None:
            # A world has its server for itself: workers of the last one find nobody.
            threading.Thread(target=before.close, daemon=True).start()
        before = server


def _environments(server: _BoundServer, port: int, request: WorldRequest) -> list[dict[str, str]]:
    hosts = [HostInfo(host.name, host.slots) for host in request.hosts]
    interfaces = {host.name: host.interface for host in request.hosts}
    slots = get_host_assignments(hosts, sum(host.slots for host in request.hosts))
    server.init(slots)
    environments = []
    for slot in sorted(slots, key=lambda slot: slot.rank):
        interface = interfaces[slot.hostname]
        run = create_run_env_vars(request.address, [interface], port)
        environments.append({**create_slot_env_vars(slot), **{k: str(v) for k, v in run.items()}})
    return environments


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
