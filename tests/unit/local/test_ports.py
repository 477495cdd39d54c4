"""Reserved ports."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from common.local.ports import HOST, LAST_PORT, PortReservations


def test_a_taken_port_is_passed_over(tmp_path: Path) -> None:
    """A port that another program listens on is not chosen."""
    with socket.socket() as taken, closing(PortReservations(tmp_path)) as ports:
        taken.bind((HOST, 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert ports.reserve(number) > number


def test_no_port_lies_beyond_the_last(tmp_path: Path) -> None:
    """Where the ports end, so does the search."""
    with closing(PortReservations(tmp_path)) as ports:
        ports.reserve(LAST_PORT)
        with pytest.raises(OSError, match="no free port from 65535 on"):
            ports.reserve(LAST_PORT)


def test_two_suites_never_get_the_same_port(tmp_path: Path) -> None:
    """A reservation holds before anybody listens, and ends with its suite."""
    first, second = PortReservations(tmp_path), PortReservations(tmp_path)
    with closing(second):
        port = first.reserve(21_700)
        assert second.reserve(port) > port
        first.close()
        assert second.reserve(port) == port
