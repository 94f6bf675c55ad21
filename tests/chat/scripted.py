"""A server that sends queued bytes, one body a request, and remembers what it was sent; in this process."""

import asyncio
import json
from collections import deque
from types import TracebackType
from typing import Any, Self


def completion(content: object = "Yes.", **choice: Any) -> dict[str, Any]:
    """Build a reply; `content=None` and further fields of the choice or `message` go over it."""
    message = {"role": "assistant", "content": content, **choice.pop("message", {})}
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


class Scripted:
    """Answers with each of `script` in turn (status, headers, body), then with the last one for ever."""

    def __init__(self, *script: tuple[int, dict[str, str], object]) -> None:
        self.script = deque(script)
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.paths.append(first.split(" ")[1])
        self.headers.append(headers)
        self.bodies.append(json.loads(await reader.readexactly(int(headers["content-length"]))))
        status, more, body = self.script.popleft() if len(self.script) > 1 else self.script[0]
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n{told}\r\n".encode())
        writer.write(raw)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
