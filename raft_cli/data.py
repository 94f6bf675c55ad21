"""The records that travel between stages, and how their ids are made. Knows no file format."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Span = tuple[int, int]


def make_id(*parts: object) -> str:
    """Return 16 hexadecimal digits that depend on `parts` alone."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = str(part).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Document:
    """One readable document.

    Attributes:
        source: Path relative to the corpus, with `#row` for a record inside a file.
        text: The converted text; Markdown headings, tables and code fences where the format had them.
        page_starts: Offset in `text` at which each page begins; empty when the format has no pages.
        cuts: Spans of chunks that came already cut; empty when the text is ours to cut.
        plain: Whether `#` at the start of a line is ordinary text rather than a heading (txt, source code).
    """

    id: str
    source: str
    title: str
    text: str
    page_starts: tuple[int, ...] = ()
    cuts: tuple[Span, ...] = ()
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: `text` is `document.text[start:end]`, offsets in code points.

    Attributes:
        position: Rank among the chunks of its document, from 0.
        heading: Titles of the sections it lies in, outermost first.
        page: Page (from 1) on which it starts, or None.
        tokens: Its length by the counter that the run used.
        language: `en`, `zh`, `ja`, `ko`, or `other` for scripts that are not told apart.
    """

    id: str
    document_id: str
    position: int
    text: str
    start: int
    end: int
    heading: tuple[str, ...]
    page: int | None
    tokens: int
    source: str
    title: str
    language: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the chunks that answer it: one, or several for multi-hop.

    Attributes:
        given: The answer that came with a user's own question; empty otherwise.
    """

    id: str
    chunk_ids: tuple[str, ...]
    text: str
    kind: str
    given: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """A verbatim span: `text == chunk.text[start:end]`."""

    text: str
    chunk_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked chain-of-thought answer.

    Attributes:
        reasoning: Escaped text with its quote marks, without the answer line.
        final: The short answer, escaped like `reasoning`.
        repaired: Quotes that were snapped to the source's own words.
    """

    question_id: str
    reasoning: str
    quotes: tuple[Quote, ...]
    final: str
    repaired: int = 0


class Role(StrEnum):
    """What a document of a row is there for."""

    ORACLE = "oracle"
    HARD = "hard"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Example:
    """A question among its documents, with the target the student learns.

    Attributes:
        documents: In the order the student sees them.
        roles: One for each document.
        oracle: Positions of the oracle documents; empty when they are absent.
        target: What the student is to say: reasoning and answer line.
        quotes: The quotations that stand in `target`.
        final: The short answer in `target`.
    """

    id: str
    question: Question
    documents: tuple[Chunk, ...]
    roles: tuple[Role, ...]
    oracle: tuple[int, ...]
    target: str
    quotes: tuple[Quote, ...]
    final: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Something set aside, and why.

    Attributes:
        stage: `read`, `chunk`, `ask`, `answer`, `deduplicate`, `split` or `mix`.
        reason: A short fixed name that is counted.
        detail: What a person needs to understand this one case.
    """

    stage: str
    reason: str
    detail: str
    source: str = ""
    chunk_id: str = ""
    question_id: str = ""
    question: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is to be drawn.

    Attributes:
        schema: Name of the structured reply wanted (`questions`), or empty for plain text.
        extra_body: Further request fields as a JSON object in text form.
        attempt: Distinguishes repeated requests with equal messages.
        priority: Lower goes first when requests wait for a slot; no part of the request.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    schema: str = ""
    extra_body: str = ""
    attempt: int = 0
    priority: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes:
        finish: `stop`, `length`, `content_filter`, `refusal`, `context_length`, `bad_request` or the server's own word.
        replayed: Whether it came from the journal.
        estimated: Whether the token counts are our estimate because the server sent none.
    """

    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    replayed: bool = False
    estimated: bool = False


class Chat(Protocol):
    """The one seam for models: teacher, student, judge, journal and fake alike."""

    async def complete(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        """Return the reply to `messages`.

        Raises:
            ChatError: The model cannot be asked at all; the run has to stop.
        """
        ...
