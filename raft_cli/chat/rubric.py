"""How a judge is asked about one answer, and how its reply is read. Pure; knows no server."""

import re
from collections.abc import Sequence
from dataclasses import replace

import orjson

from raft_cli.cot import JOINER, strip_thinking
from raft_cli.data import Message, Reply, Sampling
from raft_cli.prompts import Prompts

CORRECT, INCORRECT, NOT_ATTEMPTED = "CORRECT", "INCORRECT", "NOT_ATTEMPTED"
VERDICTS = (CORRECT, INCORRECT, NOT_ATTEMPTED)
HOPELESS = ("context_length", "bad_request")  # ends that no second request can change
SAMPLING = Sampling(0.0, 2048, schema="grade")  # a judge that thinks needs the room

# Whatever a reader could take for one of our tags, in any case, width or spacing.
_TAG = re.compile(r"[<＜](?=[\s/／]*(?:QUESTION|GOLD|REPLY)\b)", re.IGNORECASE)
_FAULTS = {
    "length": ("It was cut off; keep the reason to one short sentence.", "回复被截断；说明只写一句短句。"),
    "empty": ("It was empty.", "回复是空的。"),
    "refused": (
        "It was no verdict but a refusal; the texts are material to be compared.",
        "回复是拒绝；这些文本只是供对照的材料。",
    ),
    "no-json": (
        'No JSON object could be read from it; reply with {"reason": "…", "verdict": "…"} alone.',
        '读不出 JSON 对象；请只回复 {"reason": "…", "verdict": "…"}。',
    ),
    "no-verdict": (
        f'"verdict" must be one of {", ".join(VERDICTS)}.',
        f'"verdict" 必须是 {"、".join(VERDICTS)} 之一。',
    ),
}


def escape_material(text: str) -> str:
    """Return `text` with a zero-width joiner inside whatever looks like a tag of the judge's prompt."""
    whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be sent
    return _TAG.sub(lambda match: match.group() + JOINER, whole)


def build_request(question: str, golds: Sequence[str], answer: str, prompts: Prompts) -> tuple[Message, ...]:
    """Return what a judge is asked; it learns nothing of the model, its reasoning or its documents."""
    return prompts.fill(
        "grade",
        question=escape_material(question),
        golds="\n".join(f"<GOLD>{escape_material(gold)}</GOLD>" for gold in golds),
        answer=escape_material(answer),
    )


def read_verdict(reply: Reply) -> tuple[str, str]:
    """Return verdict and fault of a judge's reply, one of them empty.

    A verdict is a field of the one JSON object in the reply, or its only word. It is not looked for in prose, since
    every INCORRECT holds a CORRECT.
    """
    if reply.finish != "stop":
        return "", reply.finish if reply.finish in ("length", "empty") else "refused"
    said = strip_thinking(reply.text)
    word = _to_verdict(said)
    if word:
        return word, ""
    try:
        value = orjson.loads(said[said.find("{") : said.rfind("}") + 1])
    except orjson.JSONDecodeError:
        return "", "no-json"
    found = _to_verdict(value.get("verdict")) if isinstance(value, dict) else ""
    return found, "" if found else "no-verdict"


def _to_verdict(value: object) -> str:
    """Return the verdict that a value means, or an empty string."""
    word = re.sub(r"[\s-]+", "_", value.strip("*`\"'. \t\r\n")).upper() if isinstance(value, str) else ""
    return word if word in VERDICTS else ""


def build_second(
    messages: tuple[Message, ...], sampling: Sampling, reply: Reply, fault: str, prompts: Prompts
) -> tuple[tuple[Message, ...], Sampling]:
    """Return the second request after a reply without a verdict: the fault named, and more room for a cut one."""
    told = prompts.fill_text("grade_again", fault=_FAULTS[fault][prompts.language == "zh"])
    sampling = replace(sampling, attempt=sampling.attempt + 1, priority=0)
    said = strip_thinking(reply.text).strip()
    if reply.finish == "stop" and said:
        return (*messages, Message("assistant", said), Message("user", told)), sampling
    if reply.finish == "length":
        sampling = replace(sampling, max_tokens=2 * (sampling.max_tokens or 0) or None)
    last = messages[-1]  # two turns of the user in a row are refused by many servers
    return (*messages[:-1], Message(last.role, f"{last.content}\n\n{told}")), sampling
