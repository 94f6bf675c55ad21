"""A model in this process: a tiny one, made on the spot, whose words mean nothing."""

import asyncio
from pathlib import Path

import pytest

from raft_cli.chat.local import LocalModel
from raft_cli.data import Message, Sampling
from raft_cli.errors import ChatError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ASKED = (Message("system", "Answer."), Message("user", "How long does the pump run?"))
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXT = ["The pump runs for 14 seconds after each start.", "It needs 230 volts and two litres of water."]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def make_model(folder: Path, *, template: str = TEMPLATE, seed: int = 0) -> Path:
    """Write a model of two small layers and a tokenizer of bytes."""
    from tokenizers import ByteLevelBPETokenizer

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXT, vocab_size=320, special_tokens=["<|end|>"])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer, eos_token="<|end|>", pad_token="<|end|>"
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        eos_token_id=tokenizer.eos_token_id,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def test_it_answers_and_counts_its_tokens(folder: Path) -> None:
    model = LocalModel(str(folder))
    received = asyncio.run(model.ask(ASKED, Sampling(max_tokens=12)))
    again = asyncio.run(model.ask(ASKED, Sampling(max_tokens=12)))
    reply = received.reply
    assert reply == again.reply and received.raw == reply.text.encode()
    assert reply.prompt_tokens > 20 and 0 < reply.completion_tokens <= 12 and not reply.estimated
    assert reply.finish == ("length" if reply.completion_tokens == 12 else "stop")


def test_a_temperature_draws_by_the_attempt(folder: Path) -> None:
    model = LocalModel(str(folder))
    draws = [Sampling(temperature=1.5, max_tokens=20, attempt=attempt) for attempt in (0, 1, 0)]
    first, second, third = (asyncio.run(model.ask(ASKED, draw)).reply.text for draw in draws)
    assert first == third != second


def test_a_prompt_without_room_for_an_answer_is_not_cut(folder: Path) -> None:
    model = LocalModel(str(folder))
    reply = asyncio.run(model.ask((Message("user", "pump " * 400),), Sampling())).reply
    assert reply.finish == "context_length" and "leaves no room" in reply.text
    short = asyncio.run(model.ask(ASKED, Sampling(max_tokens=4000))).reply
    assert short.prompt_tokens + short.completion_tokens <= 128


def test_other_weights_are_another_teacher(folder: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / folder.name, seed=1)
    assert LocalModel(str(folder)).identity == LocalModel(str(folder)).identity
    assert LocalModel(str(folder)).identity != LocalModel(str(other)).identity


def test_what_is_no_model_is_an_error_for_people(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ChatError, match="no model there"):
        LocalModel(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ChatError, match="cannot be loaded"):
        LocalModel(str(tmp_path))
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(ChatError, match="cannot be loaded"):
        LocalModel(str(tmp_path))


def test_a_template_that_refuses_is_an_error_for_people(tmp_path: Path) -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}{{ messages }}"
    model = LocalModel(str(make_model(tmp_path / "strict", template=strict)))
    with pytest.raises(ChatError, match="no system role"):
        asyncio.run(model.ask(ASKED, Sampling(max_tokens=4)))
