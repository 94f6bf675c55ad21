"""A model's tokenizer and chat template, without torch: messages to token ids, the same for training and for asking."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from raft_cli.data import Message
from raft_cli.errors import ModelError

Render = Callable[[Sequence[Message], bool], str]
Ids = list[int]

_PROBE = "\ue000probe\ue001"
_SPARE_PADS = ("<|finetune_right_pad_id|>", "<|endoftext|>", "<pad>", "<unk>", "[PAD]", "<|reserved_special_token_0|>")


class Student:
    """Turns conversations into token ids by a model's own template.

    Attributes:
        template: The chat template, empty for a base model (its prompts are plain paragraphs, one blank line apart).
        end_id: Token that ends the assistant's turn.
        end_token: Its text.
        pad_id: A token for padding that is not `end_id`.
        pad_chosen: Whether the tokenizer named no such pad token, so that one was chosen here.
        apart: Whether the template writes a past answer otherwise than it opens one.
        dated: Whether the template writes today's date.
    """

    def __init__(
        self,
        core: Any,  # noqa: ANN401 - untyped library
        *,
        template: str,
        tokens: Mapping[str, str],
        render: Render | None,
        name: str,
    ) -> None:
        self._core = core
        self._render = render
        self._name = name
        self.template = template
        self.dated = "strftime_now" in template
        self.apart = False
        added = core.get_added_tokens_decoder().values()
        self._special = [token.content for token in added if token.special]
        self._added = [token.content for token in added if token.content.strip()]
        self._opening, self._closing, self._tail = self._probe()
        self.end_token = self._find_end(tokens)
        self.end_id = int(core.token_to_id(self.end_token))
        self._bare = self.end_token not in self._added  # its text would not be read as one token
        self._closing = self._closing.removesuffix(self.end_token) if self._bare else self._closing
        self._control = _group_by_start({*self._special, self.end_token})
        self.pad_id, self.pad_chosen = self._find_pad(tokens)
        self._head = self._encode([self._tail])[0] if self._tail else []
        self._trailing = self._count_trailing()

    def _probe(self) -> tuple[str, str, str]:
        """Return what the template writes before an answer, after it, and the end of a prompt from its last token."""
        if self._render is None:
            return "", "", ""
        question = Message("user", _PROBE)
        prompt = self._render_checked([question], True)
        whole = self._render_checked([question, Message("assistant", _PROBE)], False)
        before, _, closing = whole.rpartition(_PROBE)
        self.apart = not before.startswith(prompt)
        opening = _close_thought(prompt) if self.apart else before[len(prompt) :]
        suffix = prompt.rpartition(_PROBE)[2]
        starts = [at for token in self._special if (at := suffix.rfind(token)) >= 0]
        return opening, closing, suffix[max(starts) :] if starts else ""

    def _find_end(self, tokens: Mapping[str, str]) -> str:
        """Return the token that ends the assistant's turn, and cut the closing text behind it."""
        end = tokens.get("eos_token", "")
        for known in (self._special, [end] if self._knows(end) else [], self._added):
            found = [(self._closing.find(token), -len(token), token) for token in known if token in self._closing]
            if found:
                at, _, token = min(found)
                self._closing = self._closing[: at + len(token)]
                return str(token)
        if not self._knows(end):
            raise ModelError(
                f"{self._name}: its tokenizer has no end-of-sequence token, so a student could never learn to stop; "
                "set eos_token in its tokenizer_config.json"
            )
        self._closing = end
        return end

    def _knows(self, token: str) -> bool:
        return bool(token) and self._core.token_to_id(token) is not None

    def _count_trailing(self) -> int:
        """Return how many tokens the tokenizer puts behind every text of its own accord (T5 does, some others)."""
        plain, dressed = self._encode([_PROBE])[0], self._encode([_PROBE], special=True)[0]
        extra = len(dressed) - len(plain)
        return next((extra - at for at in range(extra + 1) if dressed[at : at + len(plain)] == plain), 0)

    def _find_pad(self, tokens: Mapping[str, str]) -> tuple[int, bool]:
        named = tokens.get("pad_token", "")
        if named != self.end_token and self._knows(named):
            return int(self._core.token_to_id(named)), False
        for spare in (*_SPARE_PADS, tokens.get("unk_token", "")):
            if spare != self.end_token and self._knows(spare):
                return int(self._core.token_to_id(spare)), True
        return (0 if self.end_id else 1), True

    @property
    def pad_token(self) -> str:
        """Text of the pad token."""
        return str(self._core.id_to_token(self.pad_id))

    @property
    def vocabulary(self) -> int:
        """Number of tokens known to the tokenizer."""
        return int(self._core.get_vocab_size(with_added_tokens=True))

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """Return the prompt as text, with the opening of the assistant's turn.

        Raises:
            ModelError: The template cannot render these roles.
        """
        if self._render is None:
            return "\n\n".join(message.content for message in messages) + "\n\n"
        return self._render_checked(messages, True)

    def encode_prompt(self, messages: Sequence[Message]) -> Ids:
        """Return a prompt's token ids."""
        return self.encode_prompts([messages])[0]

    def encode_prompts(self, conversations: Sequence[Sequence[Message]]) -> list[Ids]:
        """Return the token ids of many prompts, in parallel."""
        return self._encode_prompt_texts([self.render_prompt(messages) for messages in conversations])

    def encode_pairs(self, conversations: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[tuple[Ids, Ids]]:
        """Return prompt and completion ids of many rows; a completion ends with `end_id`.

        The prompt's ids are those of `encode_prompts`. The completion's are those that follow them in the encoding of
        both together where the prompt is a prefix of that, else those of the completion alone: the context in training
        is the context when asked.
        """
        texts = [self.render_prompt(messages) for messages in conversations]
        prompts = self._encode_prompt_texts(texts)
        said = [f"{self._opening}{answer.strip()}{self._closing}" for answer in answers]
        if self._tail:
            joint = self._encode([self._tail + text for text in said])
            heads = [self._head] * len(said)
        else:
            joint = self._encode_prompt_texts([text + more for text, more in zip(texts, said, strict=True)])
            heads = prompts
        alone = [at for at, (head, ids) in enumerate(zip(heads, joint, strict=True)) if ids[: len(head)] != head]
        completions = [ids[len(head) :] for head, ids in zip(heads, joint, strict=True)]
        for at, ids in zip(alone, self._encode([said[at] for at in alone]), strict=True):
            completions[at] = ids
        return [(prompt, self._end(ids)) for prompt, ids in zip(prompts, completions, strict=True)]

    def _end(self, completion: Ids) -> Ids:
        return completion if completion[-1:] == [self.end_id] else [*completion, self.end_id]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens."""
        return [len(ids) for ids in self._encode(texts)]

    def find_special(self, text: str) -> str:
        """Return a special token that stands in `text` as plain characters, or an empty string."""
        likely = (tokens for start, tokens in self._control.items() if start in text)
        return next((token for tokens in likely for token in tokens if token in text), "")

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Return the text of token ids."""
        return str(self._core.decode(list(ids), skip_special_tokens=not keep_special))

    def _render_checked(self, messages: Sequence[Message], opened: bool) -> str:
        assert self._render is not None
        try:
            return self._render(messages, opened)
        except Exception as error:  # templates raise whatever jinja or their author chose
            raise ModelError(f"the chat template of {self._name} cannot render the prompt: {error}") from error

    def _encode_prompt_texts(self, texts: Sequence[str]) -> list[Ids]:
        """Encode whole prompts; a base model's tokenizer adds its own opening token, but no closing one."""
        if self._render is not None:
            return self._encode(texts)
        ids = self._encode(texts, special=True)
        return [each[: len(each) - self._trailing] for each in ids] if self._trailing else ids

    def _encode(self, texts: Sequence[str], *, special: bool = False) -> list[Ids]:
        return [encoded.ids for encoded in self._core.encode_batch_fast(list(texts), add_special_tokens=special)]


def _group_by_start(tokens: Collection[str]) -> dict[str, list[str]]:
    """Return tokens by their first two characters: a text without these holds none of the group."""
    groups: dict[str, list[str]] = {}
    for token in sorted(tokens):
        groups.setdefault(token[:2], []).append(token)
    return groups


def _close_thought(prompt: str) -> str:
    """Return what ends a thought that the prompt has begun for the model, as reasoning models' templates do."""
    thought = prompt.rpartition("<think>")
    return "\n</think>\n\n" if thought[1] and "</think>" not in thought[2] else ""
