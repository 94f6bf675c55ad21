"""Messages become the token ids of the tokenizer's own template."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from raft_cli.data import Message
from raft_cli.errors import ChatError
from raft_cli.student import encode_messages

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}> {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}x"
MESSAGES = (Message("system", "be brief"), Message("user", "why so"))


def make_tokenizer(template: str = "") -> PreTrainedTokenizerFast:
    words = "[UNK] < > system user assistant be brief why so x".split()
    plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]")
    if template:
        tokenizer.chat_template = template
    return tokenizer


def show(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids))


def test_the_template_of_the_tokenizer_with_the_assistants_turn_open() -> None:
    tokenizer = make_tokenizer(TEMPLATE)
    ids = encode_messages(tokenizer, MESSAGES)
    assert show(tokenizer, ids) == "< system > be brief < user > why so < assistant >"
    assert all(type(number) is int for number in ids)


def test_a_base_model_gets_plain_paragraphs() -> None:
    tokenizer = make_tokenizer()
    assert show(tokenizer, encode_messages(tokenizer, MESSAGES)) == "be brief why so"
    heard: list[str] = []

    class Plain:
        chat_template = None

        def encode(self, text: str) -> tuple[int, ...]:
            heard.append(text)
            return (1, 2)

    assert encode_messages(Plain(), MESSAGES) == [1, 2]
    assert heard == ["be brief\n\nwhy so\n\n"]


def test_a_template_that_refuses_a_role_is_explained() -> None:
    tokenizer = make_tokenizer(NO_SYSTEM)
    with pytest.raises(ChatError, match="cannot render the prompt: no system turn"):
        encode_messages(tokenizer, MESSAGES)
    assert show(tokenizer, encode_messages(tokenizer, MESSAGES[1:])) == "x"
