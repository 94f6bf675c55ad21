"""A server that streams what a test tells it to, byte for byte, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

END = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Script:
    """One reply.

    Attributes:
        blocks: Sent one by one.
        cut: Whether the connection breaks after them.
        wait: A pause before the last block, which the test ends.
    """

    blocks: Sequence[bytes]
    status: int = 200
    cut: bool = False
    wait: threading.Event | None = None


@dataclass
class Streams:
    """The server.

    Attributes:
        scripts: One for each request; the last serves all further ones.
        bodies: What was asked.
    """

    scripts: list[Script]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def take(self, body: bytes) -> Script:
        self.bodies.append(json.loads(body))
        return self.scripts[min(len(self.bodies), len(self.scripts)) - 1]


def event(text: str = "", *, finish: str | None = None, **more: Any) -> bytes:
    """Return a server-sent event with a piece of an answer."""
    record = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}
    return f"data: {json.dumps(record, ensure_ascii=False)}\n\n".encode()


def script(*pieces: str, finish: str = "stop") -> Script:
    """Return a reply that streams these pieces."""
    return Script([*map(event, pieces), event(finish=finish), END])


@contextmanager
def serve(*scripts: Script) -> Iterator[Streams]:
    """Run a server on this machine."""
    streams = Streams(list(scripts))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            told = streams.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(told.status)
            self.send_header("content-length", str(sum(map(len, told.blocks)) + told.cut))
            self.end_headers()
            for at, block in enumerate(told.blocks, 1):
                if told.wait and at == len(told.blocks):
                    told.wait.wait(20)
                self.wfile.write(block)
                self.wfile.flush()
            self.close_connection = True

        def log_message(self, *parts: object) -> None:
            del parts

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *parts: None  # type: ignore[method-assign] # the client may leave early
    streams.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield streams
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
