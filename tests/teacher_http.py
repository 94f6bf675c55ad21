"""The local teacher on the wire: just enough HTTP/1.1, and the ways to break it."""

import asyncio
import socket
import ssl
import struct

import orjson
from teacher_faults import Outcome, refuse
from teacher_rules import Settings
from teacher_server import TeacherServer, Ticket

_REASONS = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 429: b"Too Many Requests"}
_LINGER = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    opened = 0

    def __init__(self, server: TeacherServer) -> None:
        self.server = server
        self.buffer = b""
        self.ticket: Ticket | None = None
        Connection.opened += 1
        self.number = Connection.opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ticket and self.ticket.replied is None:
            self.server.drop(self.ticket)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        self._read()

    def _read(self) -> None:
        while self.buffer and (self.ticket is None or self.ticket.replied):
            end = self.buffer.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            head = self.buffer[: end - 2]
            at = head.lower().find(b"\r\ncontent-length:")
            length = int(head[at + 17 : head.index(b"\r\n", at + 17)]) if at > 0 else 0
            if len(self.buffer) < end + length:
                return
            body = self.buffer[end : end + length]
            self.buffer = self.buffer[end + length :]
            self._handle(head, body)

    def _handle(self, head: bytes, body: bytes) -> None:
        method, target, _ = head[: head.index(b"\r\n")].split(b" ")
        path = target.partition(b"?")[0]
        if method == b"POST" and path.endswith(b"/chat/completions"):
            self.ticket = self.server.chat(self, head, body)
        elif path.startswith(b"/admin/"):
            self.send(Outcome(200, self.server.admin(path.decode(), body)))
        elif path.endswith(b"/models"):
            models = [{"id": self.server.settings.model or "sim", "object": "model", "created": 0, "owned_by": "local"}]
            self.send(Outcome(200, orjson.dumps({"object": "list", "data": models})))
        else:
            self.send(refuse(404, f"Unknown path {path.decode()}", "not_found"))

    def send(self, outcome: Outcome, headers: bytes = b"") -> None:
        """Put a reply on the wire, or fail as told."""
        if self.transport.is_closing():
            return
        if outcome.act == "reset":
            connected: socket.socket = self.transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            self.transport.abort()
            return
        told = b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n" % (
            outcome.status,
            _REASONS.get(outcome.status, b"Error"),
            len(outcome.body),
        )
        body = outcome.body[: len(outcome.body) // 2] if outcome.act == "cut" else outcome.body
        self.transport.write(told + outcome.headers + headers + b"\r\n" + body)
        if outcome.act == "cut":
            self.transport.close()
        elif self.buffer:
            self.server.loop.call_soon(self._read)


async def listen(settings: Settings, port: int, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    """Open the teacher on 127.0.0.1."""
    teacher = TeacherServer(settings)
    return await teacher.loop.create_server(lambda: Connection(teacher), "127.0.0.1", port, ssl=tls, backlog=4096)
