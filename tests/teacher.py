"""A local teacher in its own process: starts it, sets it, reads its log. `python tests/teacher.py --help` runs one."""

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from teacher_faults import Draw
from teacher_http import listen
from teacher_rules import Settings


@dataclass(frozen=True, slots=True)
class Record:
    """One request as the teacher saw it.

    Attributes:
        time: When it came (seconds of the epoch); `replied` when it was answered, or None.
        hash: Of the body; `attempt` counts requests with this body from 1.
        in_flight: Requests open when it came, itself included.
        turn: Replies that stand in its conversation.
        gone: Whether the client went away before the answer.
    """

    time: float
    replied: float | None
    hash: str
    attempt: int
    status: int
    fault: str
    in_flight: int
    job: str
    turn: int
    size: int
    gone: bool


@dataclass(frozen=True, slots=True)
class Stats:
    """Sums over all requests since the last reset.

    Attributes:
        bodies: Requests that differ.
        peak: Most requests open at once.
        window: Seconds from the first request to the last reply.
        counts: Requests by fault, or by status where none struck.
        cpu: Processor seconds of the teacher itself.
    """

    requests: int
    replies: int
    bodies: int
    peak: int
    first: float
    last: float
    window: float
    connections: int
    bytes_in: int
    bytes_out: int
    counts: dict[str, int]
    cpu: float


class Teacher:
    """A teacher that runs while the `with` block does; `settings` are the fields of `Settings`."""

    def __init__(self, tls: tuple[str, str] | None = None, **settings: Any) -> None:
        self.settings = Settings(**settings)
        Draw(self.settings.faults)
        self._tls = tls
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def start(self) -> Self:
        """Start the process and wait until it listens."""
        told = json.dumps(dataclasses.asdict(self.settings))
        command = [sys.executable, __file__, "--settings", told, "--parent", str(os.getpid())]
        self._process = subprocess.Popen(
            [*command, *(("--tls", *self._tls) if self._tls else ())], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline() or 0)
        if not self.port:
            self.stop()
            raise RuntimeError("the local teacher did not start; its error stands above")
        return self

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def log(self) -> list[Record]:
        """Return each request in the order of arrival."""
        return [Record(**row) for row in self._ask("log")]

    def requests(self) -> list[dict[str, Any]]:
        """Return `path`, `headers` (lower case) and `body` of the last 2,000 requests."""
        found: list[dict[str, Any]] = self._ask("requests")
        return found

    def stats(self) -> Stats:
        """Return the sums."""
        return Stats(**self._ask("stats"))

    def reset(self) -> None:
        """Forget log, sums and attempts."""
        self._ask("reset")

    def set(self, **settings: Any) -> None:
        """Change settings from the next request on."""
        self.settings = dataclasses.replace(self.settings, **settings)
        Draw(self.settings.faults)
        self._ask("set", json.dumps(settings))

    def _ask(self, name: str, body: str = "") -> Any:  # noqa: ANN401 - JSON
        if self._tls:
            trusting = ssl._create_unverified_context()
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=30, context=trusting
            )
        else:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(link):
            link.request("POST", f"/admin/{name}", body)
            return json.loads(link.getresponse().read())


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible teacher on 127.0.0.1 that can misbehave.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=SHARE")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--settings", default="{}", help="all settings as a JSON object")
    parser.add_argument("--parent", type=int, default=0, help="end when this process has ended")
    for setting in dataclasses.fields(Settings):
        flag = "--" + setting.name.replace("_", "-")
        if isinstance(setting.default, bool):
            parser.add_argument(flag, action="store_true")
        elif setting.name != "faults":
            parser.add_argument(flag, type=type(setting.default))
    return parser.parse_args(arguments)


def _settings(told: argparse.Namespace) -> Settings:
    settings = Settings(**json.loads(told.settings))
    given = {f.name: getattr(told, f.name, None) for f in dataclasses.fields(Settings)}
    if told.fault:
        given["faults"] = {name: float(share) for name, _, share in (item.partition("=") for item in told.fault)}
    return dataclasses.replace(settings, **{name: value for name, value in given.items() if value})


async def _run(told: argparse.Namespace) -> None:
    context = None
    if told.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*told.tls)
    server = await listen(_settings(told), told.port, context)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    while not stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), 1)
        if told.parent and os.getppid() != told.parent:
            stopped.set()
    server.close()


def main(arguments: list[str] | None = None) -> None:
    """Run a teacher until it is told to stop; its first line is the port."""
    gc.set_threshold(200_000)
    asyncio.run(_run(_parse(arguments)))


if __name__ == "__main__":
    main()
