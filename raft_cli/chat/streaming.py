"""Answers as they are written, from a model in this process or an OpenAI-compatible server. Knows no journal."""

import asyncio
import re
from collections.abc import Iterator, Sequence

import orjson

from raft_cli.chat.batches import answer_prompts
from raft_cli.chat.endings import Endings, find_ends
from raft_cli.chat.events import Transcript, read_events
from raft_cli.chat.fault import Fault, Kind, classify_status, find_unsupported
from raft_cli.chat.flow import Flow, Said, Say, TooLong
from raft_cli.chat.holder import Holder
from raft_cli.chat.keys import Access, find_access
from raft_cli.chat.remote import is_endpoint, parse_endpoint
from raft_cli.chat.sign import sign_request
from raft_cli.chat.sources import Source, find_sources
from raft_cli.data import Message
from raft_cli.errors import ChatError
from raft_cli.model import load_student

_ANSWER_PART = 4  # of a context is left for the answer at most: the rest belongs to the prompt
_REFUSED = re.compile(r"unsupported|not support", re.IGNORECASE)
_HINTS = {
    Kind.AUTH: "; set OPENAI_API_KEY (or the variables of your provider) in the environment or in --env-file",
    Kind.NOT_FOUND: "; check the name of the model, and the address (most servers want it to end in /v1)",
}


class LocalStream:
    """A transformers model in this process; `Streaming`. Its weights are loaded at the first question and kept."""

    def __init__(self, source: Source, holder: Holder, *, code: bool) -> None:
        self.name = source.name
        self._source = source
        self._holder = holder
        self._student = load_student(source.folder, exact=True, code=code)

    @property
    def notes(self) -> list[str]:
        """What a person should be told."""
        return ["its chat template writes today's date into every prompt"] if self._student.dated else []

    def render(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        """Return the prompt as text, as `Streaming.render`."""
        self._find_room(len(self._student.encode_prompt(messages)), max_tokens)
        return self._student.render_prompt(messages)

    def stream(self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str], say: Say) -> Said:
        """Answer one prompt, as `Streaming.stream`."""
        prompt = self._student.encode_prompt(messages)
        limit = self._find_room(len(prompt), max_tokens)
        flow, said = Flow(say, stop), list[int]()
        with self._holder.use(self._source) as model:
            endings = Endings(self._student, find_ends(model, self._student), stop)

            def is_reached(ids: Sequence[int]) -> bool:
                over = endings.is_reached(ids)
                if not over:
                    flow.show(self._student.decode(ids))
                return over

            def end(place: int, ids: list[int]) -> None:
                del place  # there is only one
                said.extend(ids)

            answer_prompts(model, {0: prompt}, limit=limit, budget=1, is_reached=is_reached, ended=end)
        reply = endings.read(said, prompt=len(prompt))
        flow.end(reply.text)
        return Said(reply.text, reply.finish)

    def _find_room(self, prompt: int, wanted: int) -> int:
        """Return the most tokens of an answer."""
        context = self._source.base.context
        if not context:
            return wanted
        if prompt + min(wanted, context // _ANSWER_PART) > context:
            raise TooLong(
                f"a prompt of {prompt:,} tokens leaves no room for an answer in the context of {self.name}, "
                f"{context:,} tokens"
            )
        return min(wanted, context - prompt)


class EndpointStream:
    """A model of an OpenAI-compatible server; `Streaming`. What the server refuses is left out from then on."""

    def __init__(self, name: str, model: str, access: Access, *, timeout: float, extra_body: str = "") -> None:
        self.name = name
        self._model = model
        self._access = access
        self._timeout = timeout
        self._extra: dict[str, object] = orjson.loads(extra_body or "{}")
        self._refused: set[str] = set()
        official = access.azure or access.address.startswith("https://api.openai.com")
        names = ("max_tokens", "max_completion_tokens")
        self._limits = names[::-1] if official else names

    @property
    def notes(self) -> list[str]:
        """What a person should be told."""
        return []

    def render(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        """Return the turns of a prompt; only the server knows what its template makes of them."""
        del max_tokens
        return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)

    def stream(self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str], say: Say) -> Said:
        """Answer one prompt, as `Streaming.stream`; a reply that comes in one piece is told in one piece."""
        while True:
            body = self._build_body(messages, max_tokens, stop)
            try:
                return self._send(body, Flow(say))
            except Fault as fault:
                if fault.kind is Kind.CONTEXT:
                    raise TooLong(f"{self.name}: the prompt is too long for the server ({fault.detail})") from fault
                refused = _find_refused(fault)
                if refused not in body:
                    where = f"{self.name}: {self._access.redact(fault.detail)}"
                    raise ChatError(where + _HINTS.get(fault.kind, "")) from fault
                self._refused.add(refused)

    def _build_body(self, messages: Sequence[Message], max_tokens: int, stop: Sequence[str]) -> dict[str, object]:
        limit = next((name for name in self._limits if name not in self._refused), "")
        fields = {"stream": True, "temperature": 0.0, limit: max_tokens, **({"stop": list(stop)} if stop else {})}
        turns = [{"role": message.role, "content": message.content} for message in messages]
        kept = {name: value for name, value in fields.items() if name and name not in self._refused}
        return {"model": self._model, "messages": turns, **kept, **self._extra}

    def _send(self, body: dict[str, object], flow: Flow) -> Said:
        import httpx2

        heard, fault = Transcript(), ""
        try:
            for event in self._receive(body):
                heard.take(event)
                flow.show(heard.text)
        except httpx2.ConnectError as error:
            raise Fault(Kind.CONNECTION, f"no connection ({error}); is the server running?") from error
        except httpx2.TimeoutException:
            fault = f"nothing came for {self._timeout:g} s (--timeout)"
        except httpx2.HTTPError as error:
            fault = f"the connection broke ({error})"
        text = heard.text
        fault = "" if heard.complete and not heard.fault else fault or heard.fault
        if fault and not text:
            raise Fault(Kind.TRANSIENT, fault)
        flow.end(text)
        return Said(text, "" if fault else heard.finish or "stop", self._access.redact(fault))

    def _receive(self, body: dict[str, object]) -> Iterator[str]:
        """Yield the events that a request is answered with."""
        import httpx2

        url, headers = asyncio.run(sign_request(self._model, self._access))
        waits = httpx2.Timeout(self._timeout, connect=min(self._timeout, 30))
        with (
            httpx2.Client(timeout=waits) as client,
            client.stream("POST", url, headers=headers, content=orjson.dumps(body)) as response,
        ):
            if response.status_code != 200:
                text = response.read().decode(errors="replace")
                raise classify_status(response.status_code, response.headers, self._access.redact(text))
            yield from read_events(response.iter_bytes())


def _find_refused(fault: Fault) -> str:
    """Return the field of a request that a server does not take, or an empty string."""
    if fault.kind not in (Kind.UNSUPPORTED, Kind.BAD_REQUEST):
        return ""
    named = [name for name in ("stream", "stop") if re.search(rf"\b{name}\b", fault.detail)]
    return find_unsupported(fault.detail) or (named[0] if named and _REFUSED.search(fault.detail) else "")


def open_stream(
    name: str,
    *,
    base: str,
    device: str,
    dtype: str,
    trust_remote_code: bool,
    env_file: str,
    timeout: float,
    extra_body: str = "",
) -> LocalStream | EndpointStream:
    """Return the model of this name: a run folder, a model folder, an id of the Hub, or `endpoint:MODEL@URL`.

    Args:
        extra_body: Further fields of each request to an endpoint, a JSON object in text form.

    Raises:
        ModelError: It is not there, is broken, or is a run that is not finished.
        ConfigError: There is no such device, or an endpoint is not named in full.
        MissingExtra: torch is needed and not there.
        ChatError: An endpoint's key is missing.
    """
    if not is_endpoint(name):
        holder = Holder(device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        (source,) = find_sources([name], base=base)
        return LocalStream(source, holder, code=trust_remote_code)
    model, url = parse_endpoint(name)
    access = find_access(url, role="EVAL", env_file=env_file)
    return EndpointStream(name, model, access, timeout=timeout, extra_body=extra_body)
