"""What tests use in place of a model, and short ways to make records."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from raft_cli.data import Answer, Chunk, Message, Question, Quote, Reply, Sampling, make_id

BEGIN, END = "##begin_quote##", "##end_quote##"


@dataclass
class FakeChat:
    """A `Chat` that says what stands in its queue and remembers what it was asked.

    Attributes:
        queue: Replies, or texts of replies that ended well; asking for more than there are is an error.
        history: Messages and sampling of each request.
    """

    queue: deque[Reply | str] = field(default_factory=deque)
    history: list[tuple[tuple[Message, ...], Sampling]] = field(default_factory=list)

    async def complete(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        self.history.append((messages, sampling))
        reply = self.queue.popleft()
        return Reply(reply, "stop", 10, 5) if isinstance(reply, str) else reply


def fake_chat(*replies: Reply | str) -> FakeChat:
    return FakeChat(deque(replies))


def make_chunk(text: str, number: int = 0, *, document: str = "doc", language: str = "en", start: int = 0) -> Chunk:
    return Chunk(
        id=f"chunk{number:04}",
        document_id=document,
        position=number,
        text=text,
        start=start,
        end=start + len(text),
        heading=(f"Part {number}",),
        page=None,
        tokens=len(text) // 4 + 1,
        source=f"{document}.md",
        title=document.capitalize(),
        language=language,
    )


def make_chunks(texts: Iterable[str]) -> list[Chunk]:
    """Return one chunk a text, each in a document of its own."""
    return [make_chunk(text, number, document=f"doc{number}") for number, text in enumerate(texts)]


def make_question(chunk: Chunk, text: str, *others: Chunk, number: int = 0, kind: str = "factoid") -> Question:
    return Question(f"question{number:04}", (chunk.id, *(other.id for other in others)), text, kind)


def quote_chunk(chunk: Chunk, words: str) -> Quote:
    start = chunk.text.index(words)
    return Quote(words, chunk.id, start, start + len(words))


def make_answer(question: Question, quotes: Sequence[Quote], final: str) -> Answer:
    reasoning = " ".join(f"It says {BEGIN}{quote.text}{END}." for quote in quotes)
    return Answer(question.id, f"First a thought. {reasoning} So it is settled.", tuple(quotes), final)


def by_id(chunks: Iterable[Chunk]) -> Mapping[str, Chunk]:
    return {chunk.id: chunk for chunk in chunks}


def unlike_question(number: int) -> str:
    """Return a question that resembles that of no other number, and holds no figure."""
    letters = "".join(chr(ord(digit) + 60 if digit.isdigit() else ord(digit)) for digit in make_id("word", number))
    return f"Is {letters[:4]} {letters[4:8]} {letters[8:12]} {letters[12:]}?"
