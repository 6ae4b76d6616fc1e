"""Messages over a socket pair: whole ones arrive, anything else is an error at once."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.record.worker import wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_what_is_sent_arrives_whole_and_in_order(payloads: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    try:
        for payload in payloads:
            wire.send(ours, payload)
        assert [wire.receive(theirs, seconds=5) for _ in payloads] == payloads
    finally:
        ours.close()
        theirs.close()


@pytest.mark.parametrize("data", [b"print", b'{"wall_ns": 1}', b"RPw1\xff\xff\xff\xff"])
def test_what_is_no_message_is_said(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    pair[0].sendall(data + b"        ")
    with pytest.raises(wire.WireError):
        wire.receive(pair[1], seconds=5)


def test_half_a_message_is_late_and_a_closed_socket_is_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(b"RPw1\x05\x00\x00\x00ab")
    with pytest.raises(wire.LateError):
        wire.receive(pair[1], seconds=0.05)
    pair[0].close()
    with pytest.raises(wire.ClosedError):
        wire.receive(pair[1], seconds=5)


def test_the_end_of_a_process_counts_though_its_socket_stays_open(pair: tuple[socket.socket, socket.socket]) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as running, pytest.raises((wire.ClosedError, wire.LateError)):
        wire.receive(pair[1], seconds=5, pid=running.pid)


def test_a_message_over_the_limit_is_not_sent(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LONGEST_BYTES", 4)
    with pytest.raises(wire.WireError, match="over the limit"):
        wire.send(pair[0], b"12345")
