"""Batches: memory that runs out, models of many families, scores that are none."""

import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import transformers  # noqa: E402

from raft_cli.chat.batches import answer_prompts, choose_budget  # noqa: E402
from raft_cli.errors import ModelError  # noqa: E402

VOCABULARY, LIMIT = 300, 12
_DRAW = random.Random("batches")
PROMPTS = {place: [_DRAW.randrange(5, VOCABULARY) for _ in range(_DRAW.randint(1, 60))] for place in range(40)}
ENDS = frozenset(_DRAW.sample(range(VOCABULARY), 15))
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.3}
WIDE = {**SIZE, "intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 256}

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


Tensor = torch.Tensor


class Sums:
    """A cache: the sum of all tokens of each row."""

    def __init__(self, sums: Tensor) -> None:
        self.sums = sums

    def reorder_cache(self, kept: Tensor) -> None:
        self.sums = self.sums[kept]


class Adder:
    """A model whose next token follows from the sum of all before it, and whose memory holds `room` tokens."""

    device = torch.device("cpu")
    config: Any = None

    def __init__(self, room: int, *, real: bool = False) -> None:
        self.room, self.real = room, real
        self.rows: list[int] = []
        self.shortages = 0

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, past_key_values: Sums | None, use_cache: bool
    ) -> SimpleNamespace:
        if attention_mask.numel() > self.room:
            self.shortages += 1
            if self.real:
                torch.empty(1 << 60)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore of it.")
        self.rows.append(len(input_ids))
        new = (input_ids * attention_mask[:, -input_ids.shape[1] :]).sum(-1)
        sums = new if past_key_values is None else past_key_values.sums + new
        scores = torch.nn.functional.one_hot(sums * 7 % VOCABULARY, VOCABULARY).float()
        return SimpleNamespace(logits=scores[:, None], past_key_values=Sums(sums))

    __call__ = forward


def answer(model: object, budget: int, prompts: Mapping[int, Sequence[int]] = PROMPTS) -> dict[int, list[int]]:
    """Return the tokens of each answer; each must come once."""
    said: dict[int, list[int]] = {}

    def end(place: int, ids: list[int]) -> None:
        assert place not in said
        said[place] = ids

    answer_prompts(model, prompts, limit=LIMIT, budget=budget, is_reached=lambda ids: ids[-1] in ENDS, ended=end)
    return said


@pytest.mark.parametrize("real", [False, True])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(real: bool) -> None:
    alone = answer(Adder(10_000), 1)
    tight = Adder(330, real=real)
    assert answer(tight, 100_000) == alone and tight.shortages in (3, 4)
    assert max(tight.rows) > 3 and len({len(ids) for ids in alone.values()}) > 5


def test_memory_that_runs_out_while_answers_grow() -> None:
    prompts = {place: PROMPTS[place][:6] for place in PROMPTS}
    tight = Adder(6 * 40 + 80)  # all prompts fit, with two tokens each
    assert answer(tight, 100_000, prompts) == answer(Adder(10_000), 1, prompts) and tight.shortages


def test_a_single_prompt_that_does_not_fit_is_an_error_for_people() -> None:
    with pytest.raises(ModelError, match=r"not enough memory for a prompt of \d+ tokens.*CUDA out of memory") as caught:
        answer(Adder(30), 100_000)
    assert "More of it" not in str(caught.value)


def test_other_errors_are_no_shortage() -> None:
    class Broken(Adder):
        def forward(self, *given: Any, **named: Any) -> SimpleNamespace:
            raise RuntimeError("shapes cannot be multiplied")

        __call__ = forward

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        answer(Broken(1), 100)


def test_the_longest_go_first_and_rows_leave_at_their_end() -> None:
    model = Adder(10_000)
    said = answer(model, 1500)
    assert model.rows[0] == 1500 // (max(map(len, PROMPTS.values())) + LIMIT)
    assert sum(model.rows) == sum(map(len, said.values()))  # no row is computed after its end
    longest = max(PROMPTS, key=lambda place: len(PROMPTS[place]))
    assert longest in list(said)[: model.rows[0]]


def test_no_numbers_are_an_error_for_people() -> None:
    class Silent(Adder):
        def forward(self, *given: Any, **named: Any) -> SimpleNamespace:
            output = super().forward(*given, **named)
            return SimpleNamespace(logits=output.logits * torch.nan, past_key_values=output.past_key_values)

        __call__ = forward

    with pytest.raises(ModelError, match="gives no numbers"):
        answer(Silent(10_000), 100)


FAMILIES = {
    "shared heads": lambda: transformers.LlamaConfig(**WIDE),
    "absolute positions": lambda: transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, initializer_range=0.3),
    "alibi": lambda: transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3),
    "a sliding window": lambda: transformers.MistralConfig(**WIDE, sliding_window=16),
    "windows in turn": lambda: transformers.Gemma2Config(**WIDE, sliding_window=16, head_dim=8),
    "experts": lambda: transformers.MixtralConfig(**WIDE, num_local_experts=4),
    "convolutions": lambda: transformers.Lfm2Config(**WIDE, layer_types=["conv", "full_attention"]),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_of_many_families_give_what_single_prompts_give(family: str) -> None:
    config = FAMILIES[family]()
    config.vocab_size = VOCABULARY
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    single, batched = answer(model, 1), answer(model, 100_000)
    assert single == batched and len({tuple(ids) for ids in single.values()}) > 25


def test_prompts_are_read_in_parts_of_like_length(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**WIDE, vocab_size=VOCABULARY)
    model: Any = transformers.AutoModelForCausalLM.from_config(config).eval()
    single, shapes = answer(model, 1), list[tuple[int, int]]()
    monkeypatch.setattr("raft_cli.chat.batches._READ_CPU", 128)
    model.register_forward_pre_hook(lambda _, __, named: shapes.append(named["input_ids"].shape), with_kwargs=True)
    assert answer(model, 100_000) == single
    parts = [shape for shape in shapes if shape[1] > 1]
    assert len(parts) > 10 and sum(rows for rows, _ in parts) == len(PROMPTS)
    assert max(rows * width for rows, width in parts) <= 128


def test_a_cache_of_another_kind_than_foreseen_is_made_of_all_prompts_at_once() -> None:
    model = Adder(10_000)
    model.config = transformers.LlamaConfig(**WIDE)
    assert answer(model, 100_000) == answer(Adder(10_000), 1)
    assert model.rows[:2] == [17, len(PROMPTS)]


def test_a_model_without_cache_says_so() -> None:
    config = transformers.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8)
    with pytest.raises(ModelError, match=r"MambaForCausalLM keeps no cache.*endpoint:MODEL@URL"):
        answer(transformers.AutoModelForCausalLM.from_config(config).eval(), 100)


def test_a_budget_is_chosen_by_the_device() -> None:
    assert choose_budget(Adder(1)) >= 4096
