"""A model's tokenizer and chat template, without torch: messages to token ids, the same for training and for asking."""

from collections.abc import Callable, Mapping, Sequence
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
        self._special = [token.content for token in core.get_added_tokens_decoder().values() if token.special]
        self._opening, self._closing, self._tail = self._probe()
        self.end_token = self._find_end(tokens)
        self.end_id = int(core.token_to_id(self.end_token))
        self.pad_id, self.pad_chosen = self._find_pad(tokens)
        self._head = self._encode([self._tail])[0] if self._tail else []

    def _probe(self) -> tuple[str, str, str]:
        """Return what the template writes before an answer, after it, and the end of a prompt from its last token."""
        if self._render is None:
            return "", "", ""
        question = Message("user", _PROBE)
        prompt = self._render_checked([question], True)
        whole = self._render_checked([question, Message("assistant", _PROBE)], False)
        before, _, closing = whole.rpartition(_PROBE)
        opening = before[len(prompt) :] if before.startswith(prompt) else ""
        suffix = prompt.rpartition(_PROBE)[2]
        starts = [at for token in self._special if (at := suffix.rfind(token)) >= 0]
        return opening, closing, suffix[max(starts) :] if starts else ""

    def _find_end(self, tokens: Mapping[str, str]) -> str:
        """Return the token that ends the assistant's turn, and cut the closing text behind it."""
        found = min(
            ((self._closing.find(token), token) for token in self._special if token in self._closing), default=None
        )
        if found:
            self._closing = self._closing[: found[0] + len(found[1])]
            return str(found[1])
        end = tokens.get("eos_token", "")
        if not end or self._core.token_to_id(end) is None:
            raise ModelError(
                f"{self._name}: its tokenizer has no end-of-sequence token, so a student could never learn to stop; "
                "set eos_token in its tokenizer_config.json"
            )
        self._closing = end
        return end

    def _find_pad(self, tokens: Mapping[str, str]) -> tuple[int, bool]:
        named = tokens.get("pad_token", "")
        if named and named != self.end_token and self._core.token_to_id(named) is not None:
            return int(self._core.token_to_id(named)), False
        for spare in (*_SPARE_PADS, tokens.get("unk_token", "")):
            if spare and spare != self.end_token and self._core.token_to_id(spare) is not None:
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
            joint = self._encode_prompt_texts([text + more for text, more in zip(texts, said, strict=True)], cut=False)
            heads = prompts
        alone = [at for at, (head, ids) in enumerate(zip(heads, joint, strict=True)) if ids[: len(head)] != head]
        completions = [ids[len(head) :] for head, ids in zip(heads, joint, strict=True)]
        for at, ids in zip(alone, self._encode([said[at] for at in alone]), strict=True):
            completions[at] = ids
        return list(zip(prompts, completions, strict=True))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens."""
        return [len(ids) for ids in self._encode(texts)]

    def find_special(self, text: str) -> str:
        """Return the first special token that stands in `text` as plain characters, or an empty string."""
        return next((token for token in self._special if token in text), "")

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Return the text of token ids."""
        return str(self._core.decode(list(ids), skip_special_tokens=not keep_special))

    def _render_checked(self, messages: Sequence[Message], opened: bool) -> str:
        assert self._render is not None
        try:
            return self._render(messages, opened)
        except Exception as error:  # templates raise whatever jinja or their author chose
            raise ModelError(f"the chat template of {self._name} cannot render the prompt: {error}") from error

    def _encode_prompt_texts(self, texts: Sequence[str], *, cut: bool = True) -> list[Ids]:
        """Encode whole prompts; a base model's tokenizer adds its own opening token, and no end is left on a prompt."""
        if self._render is not None:
            return self._encode(texts)
        ids = self._encode(texts, special=True)
        return [each[:-1] if cut and each and each[-1] == self.end_id else each for each in ids]

    def _encode(self, texts: Sequence[str], *, special: bool = False) -> list[Ids]:
        return [encoded.ids for encoded in self._core.encode_batch_fast(list(texts), add_special_tokens=special)]
