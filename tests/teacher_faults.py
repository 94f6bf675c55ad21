"""What can go wrong with the local teacher, drawn from the request itself, so that no order of arrival changes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from teacher_replies import Job, answer_reply, find_sources, good_reply, is_chinese, questions_reply, words_of

_JSON = b"Content-Type: application/json\r\n"
_INVENTED = "The committee of Atlantis bought forty purple submarines in 1823."

_ALL = ("ask", "answer", "judge", "other")

# Where a fault can strike: any request, only questions, only answers.
FAULTS: dict[str, tuple[str, ...]] = {
    "429": _ALL,
    "500": _ALL,
    "reset": _ALL,  # the socket, before an answer
    "cut": _ALL,  # the body ends before its Content-Length
    "cutjson": _ALL,  # half of the JSON, with the right Content-Length
    "malformed": _ALL,  # questions that are no JSON, answers without tag and quotation
    "truncated": _ALL,
    "refusal": _ALL,
    "empty": _ALL,
    "hang": _ALL,
    "html": _ALL,
    "error200": _ALL,
    "nousage": _ALL,
    "think": _ALL,
    "reasoning": _ALL,  # thought so long that nothing was said
    "filter": _ALL,  # 400
    "finishfilter": _ALL,  # finish_reason
    "context": _ALL,
    "few": ("ask",),
    "repeat": ("ask",),
    "prose": ("ask",),  # a numbered list, whatever response_format says
    "fenced": ("ask",),
    "badquote": ("answer",),
    "nearquote": ("answer",),
    "notag": ("answer",),
    "twotags": ("answer",),
    "unsupported": ("judge",),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What goes over the wire.

    Attributes:
        act: Empty to send `body`; `reset`, `cut` or `hang` to misbehave on the connection.
        quick: Sent at once, without a slot.
    """

    status: int
    body: bytes
    headers: bytes = _JSON
    act: str = ""
    fault: str = ""
    quick: bool = False


class Draw:
    """Chooses the fault of a request.

    `shares` maps a fault, or `ask:fault`, `answer:fault` or `judge:fault`, to its share of the requests it can strike.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._steps: dict[str, list[tuple[float, str]]] = {job: [] for job in _ALL}
        for name, share in shares.items():
            only, _, fault = name.rpartition(":")
            if fault not in FAULTS or only not in ("", *self._steps):
                raise ValueError(f"unknown fault {name!r}; known: {', '.join(FAULTS)}")
            for job in FAULTS[fault]:
                if only in ("", job):
                    steps = self._steps[job]
                    steps.append(((steps[-1][0] if steps else 0.0) + share, fault))

    def draw(self, job: str, chance: float) -> str:
        """Return the fault for a number in [0, 1), or an empty string."""
        for limit, fault in self._steps[job]:
            if chance < limit:
                return fault
        return ""


def refuse(status: int, message: str, code: str | None, param: str | None = None, headers: bytes = b"") -> Outcome:
    """Build an error in OpenAI's form."""
    kind = {401: "invalid_request_error", 429: "requests", 500: "server_error"}.get(status, "invalid_request_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    return Outcome(status, orjson.dumps({"error": error}), _JSON + headers, quick=True)


def limit(retry_after: str) -> Outcome:
    """Build the reply to one request too many."""
    told = b"Retry-After: %s\r\n" % retry_after.encode() if retry_after else b""
    return refuse(429, "Rate limit reached for requests", "rate_limit_exceeded", headers=told)


def completion(body: bytes, model: str, text: str | None, finish: str = "stop", **message: Any) -> bytes:
    """Build the envelope of a reply; token counts are a quarter of the bytes."""
    prompt, said = len(body) // 4, len(text or "") // 4 + 1
    return orjson.dumps(
        {
            "id": "chatcmpl-local",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None, **message},
                    "logprobs": None,
                    "finish_reason": finish,
                }
            ],
            "usage": {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said},
        }
    )


def strike(fault: str, job: Job, body: bytes, model: str, retry_after: str) -> Outcome:
    """Build what the client gets when `fault` strikes its request."""
    if fault == "429":
        return limit(retry_after)
    if fault == "filter":
        return refuse(
            400, "The response was filtered: the prompt triggered content management policy.", "content_filter"
        )
    if fault == "context":
        told = "This model's maximum context length is 128 tokens. However, your messages resulted in more tokens."
        return refuse(400, told, "context_length_exceeded", "messages")
    if fault == "500":
        error = {"message": "The server had an error", "type": "server_error", "param": None, "code": None}
        return Outcome(500, orjson.dumps({"error": error}))
    if fault == "html":
        return Outcome(200, b"<html><body><h1>Welcome to nginx</h1></body></html>", b"Content-Type: text/html\r\n")
    if fault == "error200":
        return Outcome(200, b'{"error":{"message":"Provider returned error","code":502}}')
    good = good_reply(job)
    if fault in _CONTENT:
        return Outcome(200, completion(body, model, _CONTENT[fault](job, good)))
    if fault == "truncated":
        return Outcome(200, completion(body, model, good[: len(good) // 2], "length"))
    if fault == "refusal":
        return Outcome(200, completion(body, model, None, refusal="I'm sorry, I can't help with that."))
    if fault == "reasoning":
        return Outcome(
            200, completion(body, model, "", "length", reasoning_content="Let me think about this at length")
        )
    if fault == "finishfilter":
        return Outcome(200, completion(body, model, good[:20], "content_filter"))
    whole = completion(body, model, good)
    if fault == "cutjson":
        return Outcome(200, whole[: len(whole) // 2])
    if fault == "nousage":
        return Outcome(200, orjson.dumps({k: v for k, v in orjson.loads(whole).items() if k != "usage"}))
    return Outcome(200, whole, act=fault)


def _malform(job: Job, good: str) -> str:
    return good.replace(":", "") if job.name in ("ask", "judge") else "It is all rather clear from what was said."


def _repeat(job: Job, good: str) -> str:
    written = questions_reply(job)
    return orjson.dumps({"questions": written[:1] * max(2, len(written))}).decode()


def _invent(job: Job, good: str) -> str:
    return answer_reply(job, [_INVENTED])


def _misquote(job: Job, good: str) -> str:
    sentence, *rest = find_sources(job)
    word = max(words_of(sentence), key=len, default=sentence)
    place = sentence.index(word) + len(word) // 2
    others = "甲乙" if is_chinese(sentence) else "qk"
    other = others[sentence[place] == others[0]]
    return answer_reply(job, [sentence[:place] + other + sentence[place + 1 :], *rest])


_CONTENT: dict[str, Callable[[Job, str], str]] = {
    "malformed": _malform,
    "empty": lambda job, good: "",
    "think": lambda job, good: f"<think>\nPerhaps {{42}}?\n<ANSWER>: not this\n</think>\n\n{good}",
    "few": lambda job, good: orjson.dumps({"questions": questions_reply(job)[:1]}).decode(),
    "repeat": _repeat,
    "prose": lambda job, good: (
        "Here you are:\n\n" + "\n".join(f"{i}. {q['question']}" for i, q in enumerate(questions_reply(job), 1))
    ),
    "fenced": lambda job, good: f"Sure!\n```json\n{good}\n```\nAnything else?",
    "badquote": _invent,
    "nearquote": _misquote,
    "notag": lambda job, good: good.replace("<ANSWER>: ", ""),
    "unsupported": lambda job, good: '{"supported": false, "reason": "The passage does not say so."}',
    "twotags": lambda job, good: f"{good}\n<ANSWER>: something else",
}
