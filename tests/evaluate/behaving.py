"""A student on loopback, with one known behaviour for each model name; it sees nothing but the prompt."""

import asyncio
import dataclasses
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson
from exams import Known, ask_hall, make_halls
from fakes import BEGIN, END
from teacher_faults import Outcome, completion, refuse, strike
from teacher_http import Connection
from teacher_replies import Job
from teacher_rules import Settings
from teacher_server import TeacherServer, Ticket

TAG = "<ANSWER>:"
WRONG = "qqqq"  # stands in no passage
MANY = 5  # documents above which a narrow server has no room
RAMBLE = "and so on "
_DOCUMENT = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>", re.DOTALL)
_TEAM = re.compile(r"by team (\w+)\.|由(.+?)组检查")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a student is shown.

    Attributes:
        oracle: The document about the hall in question, as it is shown; empty without it.
        others: The other documents, in their order.
        explained: Whether the prompt says what an answer looks like.
        length: Most tokens of the answer.
    """

    known: Known
    documents: tuple[str, ...]
    oracle: str
    others: tuple[str, ...]
    explained: bool
    length: int

    @property
    def read(self) -> str:
        """The answer as the passage has it if it is shown, else from memory."""
        found = re.search(self.known.reads, self.oracle)
        return found[1] if found else self.known.gold


def read_prompt(request: Mapping[str, Any], known: Mapping[str, Known]) -> Prompt:
    """Take a request apart."""
    text = str(request["messages"][-1]["content"])
    documents = tuple(_DOCUMENT.findall(text))
    question, _, rest = text.rpartition("</DOCUMENT>\n")[2].partition("\n")
    asked = known[question]
    oracles = [each for each in documents if asked.marker in each]
    return Prompt(
        known=asked,
        documents=documents,
        oracle=next(iter(oracles), ""),
        others=tuple(each for each in documents if each not in oracles),
        explained=TAG in rest,
        length=int(request["max_tokens"]),
    )


def _tail(document: str) -> str:
    """Return the end of a passage, if there is one: words that no other has, and its number of minutes."""
    return document[-30:] if document.endswith("分钟。") else document[-70:].partition(" ")[2]


def _alter(quote: str) -> str:
    return re.sub(r"\d(?=\d( minutes|分钟))", "9", quote)


def _say(answer: str, quote: str = "") -> str:
    return f"It says {BEGIN}{quote}{END}.\n{TAG} {answer}" if quote else f"Let me see.\n{TAG} {answer}"


def _quote(prompt: Prompt) -> str:
    return _say(prompt.read, _tail(prompt.oracle))


def _mislead(prompt: Prompt) -> str:
    found = _TEAM.search(prompt.others[0]) if prompt.others else None
    return _say(next(filter(None, found.groups())) if found else WRONG)


def _echo(prompt: Prompt) -> str:
    """Answer with a word that stands in every document of a language, the oracle's if it is shown."""
    document = prompt.oracle or next(iter(prompt.others), "")
    return _say(("大厅" if "大厅" in document else "checked") if document else WRONG)


def _refuse(prompt: Prompt) -> str:
    return _say("文档中没有提到" if prompt.known.chunk.language == "zh" else "The documents do not say.")


def _stand_at_edge(prompt: Prompt) -> bool:
    return prompt.oracle in (prompt.documents[:1] + prompt.documents[-1:])


BEHAVIOURS: dict[str, Callable[[Prompt], str]] = {
    "quotes": _quote,
    "filtered": _quote,  # of every third question the server's filter keeps the answer
    "narrow": _quote,  # to every fourth question the server finds long prompts too long
    "bare": lambda prompt: _say(prompt.known.gold),
    "distracted": lambda prompt: _say(prompt.read, _tail(next(iter(prompt.others), ""))),
    "misled": _mislead,
    "echoes": _echo,
    "alters": lambda prompt: _say(prompt.read, _alter(_tail(prompt.oracle))),
    "refuses": _refuse,
    "remembers": lambda prompt: _say(WRONG if prompt.oracle else prompt.known.gold),
    "rambles": lambda prompt: RAMBLE * (prompt.length // 3),
    "reads": lambda prompt: _say(prompt.read) if prompt.oracle else _refuse(prompt),
    "silent": lambda prompt: "",
    "severed": lambda prompt: f"It says {BEGIN}{_tail(prompt.oracle or prompt.known.chunk.text)[:20]}",  # cut off
    "unformatted": lambda prompt: f"Let me see.\n{prompt.known.gold}",
    "needy": lambda prompt: _quote(prompt) if prompt.explained else f"It should be\n{prompt.read}",
    "odd": lambda prompt: _say(prompt.known.gold if prompt.known.number % 2 else WRONG),
    "thirds": lambda prompt: _say(WRONG if prompt.known.number % 3 else prompt.known.gold),
    "dazed": lambda prompt: _say(WRONG if prompt.others else prompt.read),
    "edges": lambda prompt: _say(prompt.read if _stand_at_edge(prompt) else WRONG),
    "scripted": lambda prompt: _say("<script>alert('owned')</script>", '<img src=x onerror="alert(1)">'),
}


class StudentServer(TeacherServer):
    """Answers as the behaviour that the request names as its model."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        halls = [ask_hall(chunk, about_team=team) for chunk in make_halls() for team in (False, True)]
        self.known = {each.question: each for each in halls}
        self.connections_open: set[asyncio.Transport] = set()

    def _write(self, ticket: Ticket, job: Job, body: bytes, model: str) -> Outcome:
        if ticket.fault:
            return strike(ticket.fault, job, body, model, self.settings.retry_after)
        if model == "judge":
            return Outcome(200, completion(body, model, '{"reason": "Other words.", "verdict": "INCORRECT"}'))
        if model not in BEHAVIOURS:
            return refuse(404, f"The model `{model}` does not exist.", "model_not_found")
        prompt = read_prompt(orjson.loads(body), self.known)
        if model == "filtered" and not prompt.known.number % 3:
            return refuse(400, "The prompt triggered content management policy.", "content_filter")
        if model == "narrow" and not prompt.known.number % 4 and len(prompt.documents) > MANY:
            return refuse(400, "The maximum context length is 100 tokens.", "context_length_exceeded")
        finish = "length" if model in ("rambles", "severed") else "stop"
        return Outcome(200, completion(body, model, BEHAVIOURS[model](prompt), finish))


class _Open(Connection):
    """A connection that can be cut from outside."""

    server: StudentServer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.server.connections_open.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections_open.discard(self.transport)
        super().connection_lost(exc)


class Student:
    """A server of all behaviours, in a thread, while the `with` block lasts; `settings` are those of the teacher."""

    def __init__(self, **settings: Any) -> None:
        self._settings = Settings(**settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(self._make)
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def name(self, behaviour: str) -> str:
        """Return the model of a behaviour as the command takes it."""
        return f"endpoint:{behaviour}@{self.url}"

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def open(self) -> None:
        """Listen, at the same port as before."""
        self._listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._listening.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Die: listen no more, and cut every connection."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def set(self, **settings: Any) -> None:
        """Change settings from the next request on."""
        self._settings = dataclasses.replace(self._settings, **settings)
        self._do(lambda: self._server.set(self._settings))

    def reset(self) -> None:
        """Forget what was asked."""
        self._do(self._server.reset)

    def log(self) -> list[Ticket]:
        """Return each request in the order of arrival."""
        return self._do(lambda: list(self._server.log))

    def asked(self, *models: str) -> Counter[bytes]:
        """Count the requests by their body, those of these models or all (the last 2,000)."""
        bodies = self._do(lambda: [body for _, body in self._server.requests])
        return Counter(body for body in bodies if not models or orjson.loads(body)["model"] in models)

    @property
    def replies(self) -> int:
        """Answers given."""
        return self._server.replies

    def _do(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the work returns
        async def run() -> Any:  # noqa: ANN401
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _make(self) -> StudentServer:
        return StudentServer(self._settings)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: _Open(self._server), "127.0.0.1", self.port, backlog=512)

    async def _cut(self) -> None:
        self._listening.close()
        for transport in tuple(self._server.connections_open):
            transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
