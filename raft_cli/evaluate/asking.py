"""What a model is sent for a case: the prompt of training, or the same with the format of answers explained. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from raft_cli.data import Chunk, Message, make_id
from raft_cli.evaluate.records import Case, Item
from raft_cli.prompts import Prompts, render_instruction

Conversation = tuple[Message, ...]
_T = TypeVar("_T")

PLAIN, INSTRUCTED, WORKED = "plain", "instructed", "worked"
_WORKED = 2  # examples before the question


@dataclass(frozen=True, slots=True)
class Asking:
    """How cases become conversations.

    Attributes:
        system: System turn of every prompt; empty for none.
        prompts: By language; `format` explains what an answer looks like.
        examples: Questions with their oracle and reference, by language, for `worked`.
    """

    system: str
    prompts: Mapping[str, Prompts]
    examples: Mapping[str, Sequence[tuple[str, Sequence[Chunk], str]]]

    def render(self, item: Item, case: Case, way: str) -> Conversation:
        """Return the conversation that a model is sent; `plain` is byte for byte the prompt of training."""
        asked = render_instruction(item.question, case.documents)
        turns = [Message("system", self.system)] if self.system else []
        if way == PLAIN:
            return (*turns, Message("user", asked))
        explained = "\n\n" + _pick(self.prompts, item.language).fill_text("format")
        if way == WORKED:
            for question, oracle, reference in _pick(self.examples, item.language):
                turns.append(Message("user", render_instruction(question, oracle) + explained))
                turns.append(Message("assistant", reference))
        return (*turns, Message("user", asked + explained))

    def ways(self, *, worked: bool) -> tuple[str, ...]:
        """Return the ways there are to ask; worked examples only where they are wanted and there are some."""
        return (PLAIN, INSTRUCTED, WORKED) if worked and any(self.examples.values()) else (PLAIN, INSTRUCTED)


def _pick(held: Mapping[str, _T], language: str) -> _T:
    return held[language] if language in held else held["en"]


def choose_examples(
    items: Iterable[Item], chunks: Mapping[str, Chunk], languages: Iterable[str]
) -> dict[str, list[tuple[str, list[Chunk], str]]]:
    """Return two worked examples for each language: the shortest answers with a quotation, of different passages.

    A language without two of its own takes those of any language.
    """
    usable = sorted((item for item in items if item.quotes), key=lambda item: (len(item.reference), item.id))
    found = {}
    for language in (*languages, "en"):
        own = [item for item in usable if item.language == language]
        kept: dict[str, Item] = {}
        for item in [*own, *usable]:
            if len(kept) < _WORKED:
                kept.setdefault(item.oracle_ids[0], item)
        found[language] = [
            (item.question, [chunks[name] for name in item.oracle_ids], item.reference) for item in kept.values()
        ]
    return found


def hash_prompt(conversation: Conversation) -> str:
    """Return what names a conversation in `examples.jsonl`."""
    return make_id(*(part for message in conversation for part in (message.role, message.content)))
