"""A judge on this machine whose replies a test writes by the answer it is shown; in a thread of its own."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_SHOWN = re.compile(r"<REPLY>(.*)</REPLY>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the answer to grade, how often this judge had been asked about it before, and the whole body."""

    answer: str
    before: int
    key: str
    body: dict[str, Any]

    @property
    def roles(self) -> list[str]:
        return [message["role"] for message in self.body["messages"]]

    @property
    def last(self) -> str:
        return str(self.body["messages"][-1]["content"])


Said = str | tuple[int, str]
Rule = Callable[[Asked], Said]


def grade(verdict: str, **more: object) -> str:
    """Return what a good judge replies."""
    return json.dumps({"reason": "It says so.", "verdict": verdict, **more})


class JudgeServer:
    """Replies with what `rule` makes of a request: the content of a reply, or a status and its error body."""

    def __init__(self, rule: Rule = lambda asked: grade("CORRECT")) -> None:
        self.rule = rule
        self.asked: list[Asked] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        judge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                judge.serve(self)

            def log_message(self, format: str, *values: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        first = next(turn["content"] for turn in body["messages"] if turn["role"] == "user")
        answer = _SHOWN.findall(first)[0]
        with self._lock:
            before = sum(each.answer == answer for each in self.asked)
            asked = Asked(answer, before, request.headers.get("Authorization", ""), body)
            self.asked.append(asked)
        said = self.rule(asked)
        status, content = said if isinstance(said, tuple) else (200, json.dumps(_complete(said)))
        raw = content.encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(raw)))
        request.send_header("Retry-After-Ms", "5")
        request.end_headers()
        request.wfile.write(raw)


def _complete(content: str) -> dict[str, Any]:
    """Build a reply; `refusal:`, `length:` and `filter:` before the content are its end."""
    kind, _, rest = content.partition(":")
    ends = {"length": "length", "filter": "content_filter"}
    message: dict[str, Any] = {"role": "assistant", "content": rest if kind in ends else content}
    if kind == "refusal":
        message |= {"content": None, "refusal": rest}
    usage = {"prompt_tokens": 300, "completion_tokens": 12}
    return {"choices": [{"index": 0, "message": message, "finish_reason": ends.get(kind, "stop")}], "usage": usage}
