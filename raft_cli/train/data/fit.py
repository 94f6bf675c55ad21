"""Encode rows and take distractors out of those that are too long: as many as needed and no more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from raft_cli.data import Message, Role
from raft_cli.student import Ids, Student
from raft_cli.train.data.documents import drop_documents, read_spans
from raft_cli.train.records import Row

_MARGIN = 16  # tokens by which a document's count alone may differ from what it adds to a prompt


@dataclass(frozen=True, slots=True)
class Fitted:
    """A row as token ids, longer than the limit only if nothing more may be removed.

    Attributes:
        gone: Positions of the documents that were removed.
    """

    messages: tuple[Message, ...]
    gone: tuple[int, ...]
    prompt: Ids
    completion: Ids

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.prompt) + len(self.completion)


def order_removals(roles: Sequence[Role]) -> list[int]:
    """Return which documents may go, in order: random ones, then hard ones, last first; one document always stays."""
    by_role = ([at for at, each in enumerate(roles) if each is role] for role in (Role.RANDOM, Role.HARD))
    order = [at for positions in by_role for at in reversed(positions)]
    return order[: len(roles) - 1] if roles else []


def fit_rows(rows: Sequence[Row], student: Student, limit: int) -> list[Fitted]:
    """Encode rows; those above `limit` tokens lose the fewest distractors that make them fit.

    The outcome is that of removing one document after the other; how many must go is guessed from their share of the
    text, and of the last that went it is made sure that it had to.
    """
    fitted = _encode(rows, [()] * len(rows), student)
    long = [at for at, each in enumerate(fitted) if each.length > limit]
    searches = {at: _Search(rows[at], fitted[at], limit) for at in long}
    while waiting := [at for at, search in searches.items() if not search.done]:
        gone = [searches[at].choose() for at in waiting]
        for at, found in zip(waiting, _encode([rows[at] for at in waiting], gone, student), strict=True):
            searches[at].learn(found)
        unsure = [searches[at] for at in waiting if not searches[at].done and searches[at].fits]
        for search, size in zip(unsure, student.count_tokens([each.last_removed for each in unsure]), strict=True):
            search.confirm(size)
    for at, search in searches.items():
        fitted[at] = search.best
    return fitted


def _encode(rows: Sequence[Row], gone: Sequence[tuple[int, ...]], student: Student) -> list[Fitted]:
    prompts = [_drop(row.messages, positions) for row, positions in zip(rows, gone, strict=True)]
    pairs = student.encode_pairs(prompts, [row.answer for row in rows])
    return [Fitted(messages, out, *pair) for messages, out, pair in zip(prompts, gone, pairs, strict=True)]


def _drop(messages: tuple[Message, ...], gone: tuple[int, ...]) -> tuple[Message, ...]:
    if not gone:
        return messages
    return (*messages[:-1], replace(messages[-1], content=drop_documents(messages[-1].content, set(gone))))


class _Search:
    """Finds the fewest documents whose removal makes one row fit.

    Attributes:
        best: The row with the fewest removed that fits, else with the most removed that was tried.
    """

    def __init__(self, row: Row, whole: Fitted, limit: int) -> None:
        text = row.messages[-1].content
        spans = read_spans(text)
        self._order = order_removals(row.roles)
        self._spans = [spans[at] for at in self._order]
        rate = len(whole.prompt) / max(1, sum(len(turn.content) for turn in row.messages))
        self._saved = list(accumulate((len(span) * rate for span in self._spans), initial=0.0))
        self._limit = limit
        self._short = 0  # so many removed are known to be too few
        self.best = whole

    @property
    def fits(self) -> bool:
        """Whether `best` does."""
        return self.best.length <= self._limit

    @property
    def done(self) -> bool:
        """Whether it is certain that one document less would not do."""
        removed = len(self.best.gone)
        return removed - 1 <= self._short if self.fits else removed == len(self._order)

    @property
    def last_removed(self) -> str:
        """The document of `best` that went last, with its tags."""
        return self._spans[len(self.best.gone) - 1]

    def choose(self) -> tuple[int, ...]:
        """Return the documents to remove in the next attempt."""
        if self.fits:
            return tuple(self._order[: len(self.best.gone) - 1])
        needed = self.best.length - self._limit + self._saved[self._short]
        more = range(self._short + 1, len(self._order) + 1)
        return tuple(self._order[: next((count for count in more if self._saved[count] >= needed), len(self._order))])

    def learn(self, found: Fitted) -> None:
        """Take in the outcome of an attempt."""
        if found.length > self._limit:
            self._short = len(found.gone)
        if found.length <= self._limit or not self.fits:
            self.best = found

    def confirm(self, size: int) -> None:
        """Take in how many tokens the document has that went last."""
        if self.best.length + size > self._limit + _MARGIN:
            self._short = len(self.best.gone) - 1
