"""What travels between the stages of an evaluation: questions, documents a model gets, its answers, their grades."""

from dataclasses import dataclass
from enum import StrEnum

from raft_cli.data import Chunk, Quote, Role


@dataclass(frozen=True, slots=True)
class Item:
    """A test question with what is known of its answer.

    Attributes:
        id: The row's id.
        golds: Short answers that count as right, unescaped; the first is the dataset's own.
        type: `general`, or `api call` (the answer is a program).
        reference: The target of the row: reasoning with quotes, and the answer line.
        quotes: The quotations of the reference.
        oracle_ids: Chunks that answer it, in the dataset's order; the first is the cluster of resampling.
        source: The document it comes from.
        seen: Whether training rows were asked about the same chunk.
    """

    id: str
    question: str
    golds: tuple[str, ...]
    type: str
    kind: str
    language: str
    reference: str
    quotes: tuple[Quote, ...]
    oracle_ids: tuple[str, ...]
    source: str
    seen: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A question under a condition: the very documents that a model gets.

    Attributes:
        condition: `closed`, `oracle`, `oracle+4`, `distract`, `retrieved@5`, `pos@0.5`, `counter`.
        documents: In the order of the prompt; empty when closed.
        roles: One for each document.
        oracle: Positions of the oracle documents.
        golds: Those of the item, save in `counter`, whose oracle says something else.
    """

    item_id: str
    condition: str
    documents: tuple[Chunk, ...]
    roles: tuple[Role, ...]
    oracle: tuple[int, ...]
    golds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said to a case.

    Attributes:
        finish: `stop`, `length`, or another word of the server.
        error: Why there is no answer; such a response is missing, never scored.
    """

    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    error: str = ""


class QuoteClass(StrEnum):
    """Where a quotation of an answer comes from."""

    ORACLE = "oracle"
    DISTRACTOR = "distractor"
    SHARED = "shared"
    NEAR_ORACLE = "near_oracle"
    NEAR_DISTRACTOR = "near_distractor"
    ALTERED = "altered"
    FABRICATED = "fabricated"
    SHORT = "short"  # below four units: verbatim by chance; shown, never counted


@dataclass(frozen=True, slots=True)
class GradedQuote:
    """A quotation of an answer, judged.

    Attributes:
        document: Position of the document it was found in, or None.
        spans: Where it stands in that document's raw text (code points); several when it left something out.
        likeness: 100 is verbatim, 90 and more is near, 0 is below that.
        also: Positions of the other documents that have it verbatim.
    """

    text: str
    kind: QuoteClass
    document: int | None
    spans: tuple[tuple[int, int], ...]
    likeness: float
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Grade:
    """All that is measured of one answer.

    Attributes:
        extracted: The short answer: after the last answer tag, or None without one.
        lenient: The short answer, or the last line without a tag.
        em, f1, contains, rouge, acc: 0 to 1, of `extracted` (None counts 0); the `_lenient` ones of `lenient`.
        precision, recall: Of the gold that gives `f1`.
        fault: Why a program (`api call`) is wrong: `unparsable`, `no-call`, `other-name`, `other-arguments`,
            `too-many-calls`; empty otherwise.
        refused: Whether it declines to answer (`lenient`); what is right never does.
        malformed: Quote marks that are unbalanced, nested or empty.
        answer_in_quote: Whether the answer stands in one of its own quotes.
        evidence: Share of the tokens of the reference's quotes that its oracle quotes cover; None without a reference.
        quoted_share: The largest share of one document's characters that it quotes.
        cited_share: Share of the oracle documents that it quotes verbatim; 0 without oracles.
        grounded: Right, with an oracle quote, and nothing fabricated or altered.
        misled: Wrong, with an answer that stands in a distractor and in no oracle.
    """

    extracted: str | None
    lenient: str
    em: float
    f1: float
    precision: float
    recall: float
    contains: float
    rouge: float
    acc: float
    em_lenient: float
    f1_lenient: float
    acc_lenient: float
    fault: str
    refused: bool
    quotes: tuple[GradedQuote, ...]
    malformed: int
    answer_in_quote: bool
    evidence: float | None
    quoted_share: float
    cited_share: float
    grounded: float
    misled: bool
