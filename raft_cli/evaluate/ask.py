"""Ask one question of a dataset's passages: retrieve, prompt as in training, answer, place the quotations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raft_cli.chat.flow import Said, Streaming, TooLong
from raft_cli.data import Chunk, Message
from raft_cli.errors import ConfigError, ModelError
from raft_cli.evaluate.examine import STOP
from raft_cli.evaluate.extract import read_response
from raft_cli.evaluate.library import Library
from raft_cli.evaluate.quotes import grade_quote
from raft_cli.evaluate.records import GradedQuote, QuoteClass
from raft_cli.prompts import render_instruction

_DEPTH = 50  # of retrieval at least, as in the evaluation: how ties are broken must not depend on how many are wanted

VERBATIM, NEAR, ALTERED, NOWHERE, SHORT = "verbatim", "near", "altered", "nowhere", "short"
_VERDICTS = {  # no document is an oracle here, so no other class is given
    QuoteClass.DISTRACTOR: VERBATIM,
    QuoteClass.NEAR_DISTRACTOR: NEAR,
    QuoteClass.ALTERED: ALTERED,
    QuoteClass.FABRICATED: NOWHERE,
    QuoteClass.SHORT: SHORT,
}


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quotation of an answer.

    Attributes:
        verdict: `verbatim`, `near` (90 % alike or more), `altered` (alike, but figures or negations are others),
            `nowhere`, or `short` (too few words to tell where they come from).
        document: Number of the document, from 1, that has it or comes nearest; None without one.
        also: Numbers of the others that have it verbatim.
        source: What stands in that document; empty without one.
    """

    text: str
    verdict: str
    document: int | None
    also: tuple[int, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with what came of it.

    Attributes:
        documents: Passages in the order of the prompt.
        prompt: The prompt as the model got it.
        final: The short answer; None when the answer has no answer line.
        notes: What a person should be told.
    """

    question: str
    documents: tuple[Chunk, ...]
    prompt: str
    said: Said
    final: str | None
    quotes: tuple[Quoted, ...]
    notes: tuple[str, ...]


def ask_question(
    question: str,
    library: Library,
    model: Streaming,
    *,
    system: str,
    count: int,
    max_tokens: int,
    begin: Callable[[str], None],
    say: Callable[[str], None],
) -> Exchange:
    """Ask a model a question about the passages that are most like it.

    When the prompt is too long for the model, the last documents are left out. A question that no passage shares a
    word with is asked without documents, and the notes say so.

    Args:
        count: Most documents.
        begin: Takes the prompt before it is asked.
        say: Takes the answer, piece by piece.

    Raises:
        ConfigError: The question is empty.
        ModelError: The model cannot be asked, or not even one document fits.
        ChatError: The server gave no answer.
    """
    question = question.strip()
    if not question:
        raise ConfigError("the question is empty")
    found = [library.chunks[name] for name in library.search(question, max(_DEPTH, count))[:count]]
    kept = list(found)
    while True:
        opening = [Message("system", system)] if system else []
        messages = [*opening, Message("user", render_instruction(question, kept))]
        try:
            prompt = model.render(messages, max_tokens=max_tokens)
            begin(prompt)
            said = model.stream(messages, max_tokens=max_tokens, stop=STOP, say=say)
            break
        except TooLong as error:
            if len(kept) <= 1:
                raise ModelError(f"{error}, not even with {'one document' if kept else 'none'}") from error
            kept.pop()
    reading = read_response(said.text)
    return Exchange(
        question=question,
        documents=tuple(kept),
        prompt=prompt,
        said=said,
        final=reading.extracted,
        quotes=tuple(_place(grade_quote(text, kept, frozenset()), kept) for text in reading.quotes),
        notes=tuple(_note(count, found, kept, said, reading.malformed)),
    )


def _place(quote: GradedQuote, documents: Sequence[Chunk]) -> Quoted:
    at = quote.document
    source = "" if at is None else " … ".join(documents[at].text[start:end] for start, end in quote.spans)
    also = tuple(other + 1 for other in quote.also)
    return Quoted(quote.text, _VERDICTS[quote.kind], None if at is None else at + 1, also, source)


def _note(count: int, found: Sequence[Chunk], kept: Sequence[Chunk], said: Said, malformed: int) -> list[str]:
    notes = []
    if count and not found:
        notes.append("no passage shares a word with the question: asked without documents, from memory alone")
    elif left := len(found) - len(kept):
        notes.append(f"the last {left} of {len(found)} documents were left out: the prompt was too long for the model")
    if 0 < len(found) < count:
        notes.append(f"only {len(found)} of {count} documents: no other passage shares a word with the question")
    if said.finish == "length":
        notes.append("the answer was cut at its longest (--max-tokens, or the model's context)")
    elif said.finish not in ("stop", ""):
        notes.append(f"the server ended the answer with {said.finish!r}")
    if malformed:
        notes.append(f"quotation marks without a partner, or with nothing between them: {malformed}")
    return notes
