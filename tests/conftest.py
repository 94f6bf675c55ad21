"""What every test stands on: an environment without keys, a network without an outside, a teacher on this machine."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import settings
from teacher import Teacher

settings.register_profile("raft", deadline=None)  # a busy machine is no fault
settings.load_profile("raft")

_KEYS = ("OPENAI_", "AZURE_", "COMPLETION_", "EVAL_", "JUDGE_", "EMBEDDING_", "HF_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class OutsideRefused(Exception):
    """A test reached for an address that is not this machine."""


def is_here(address: object) -> bool:
    """Tell whether a socket address is this machine's own."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0]).partition("%")[0]
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away keys, proxies, a stray .env and the outside world."""
    for name in tuple(os.environ):
        if name.upper().startswith(_KEYS) or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _refuse_outside(getattr(socket.socket, name)))


def _refuse_outside(connect: Callable[..., object]) -> Callable[..., object]:
    def connect_here(self: socket.socket, address: object) -> object:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_here(address):
            raise OutsideRefused(f"tests stay on this machine; refused to connect to {address}")
        return connect(self, address)

    return connect_here


@pytest.fixture
def teacher() -> Iterator[Callable[..., Teacher]]:
    """Return a function that starts a teacher with given settings; all of them end with the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(Teacher(**settings))
