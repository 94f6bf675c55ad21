"""The continuous batching of transformers: the same answers as ours, and a refusal where it does not serve."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import transformers  # noqa: E402
from examined import make_prompts, write_model, write_run  # noqa: E402

from raft_cli.chat.batches import answer_prompts  # noqa: E402
from raft_cli.chat.continuous import answer_continuously, check_attention  # noqa: E402
from raft_cli.chat.endings import Endings, find_ends  # noqa: E402
from raft_cli.chat.holder import Holder  # noqa: E402
from raft_cli.chat.sources import find_sources  # noqa: E402
from raft_cli.errors import ModelError  # noqa: E402
from raft_cli.model import load_student  # noqa: E402

SMALL = {"num_blocks": 64, "max_batch_tokens": 512, "page_size": 16}

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def test_it_answers_as_batches_do_with_adapter_and_without(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    run = write_run(tmp_path / "run", base)
    holder = Holder(device="cpu", dtype="auto", trust_remote_code=False)
    student = load_student(base, exact=True)
    prompts = dict(enumerate(student.encode_prompts(make_prompts(40))))
    seen = []
    for source in find_sources([str(run), str(base)], base=""):
        with holder.use(source) as model:
            ends = find_ends(model, student)
            free: dict[int, list[int]] = {}
            answer_prompts(
                model,
                prompts,
                limit=16,
                budget=6000,
                is_reached=Endings(student, ends, ()).is_reached,
                ended=free.__setitem__,
            )
            stops = [student.decode(free[3])[2:6]]
            for endings in (Endings(student, ends, ()), Endings(student, ends, stops)):
                ours: dict[int, list[int]] = {}
                theirs: dict[int, list[int]] = {}
                answer_prompts(
                    model, prompts, limit=16, budget=6000, is_reached=endings.is_reached, ended=ours.__setitem__
                )
                answer_continuously(
                    model, prompts, limit=16, pad=0, endings=endings, ended=theirs.__setitem__, settings=SMALL
                )
                assert theirs == ours
                assert {at: endings.read(theirs[at], prompt=1) for at in theirs} == {
                    at: endings.read(ours[at], prompt=1) for at in ours
                }
                seen.append(ours)
            assert model.config._attn_implementation == "sdpa"
    assert all(one != other for at, one in enumerate(seen) for other in seen[:at])


def test_windows_are_refused_rather_than_served_otherwise(tmp_path: Path) -> None:
    shape = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    for config in (
        transformers.MistralConfig(**shape, num_attention_heads=4, num_key_value_heads=2, sliding_window=16),
        transformers.Gemma2Config(**shape, num_attention_heads=4, num_key_value_heads=2, head_dim=8),
    ):
        with pytest.raises(ModelError, match="attends by windows"):
            check_attention(transformers.AutoModelForCausalLM.from_config(config))
    for config in (
        transformers.Qwen2Config(**shape, num_attention_heads=4, num_key_value_heads=2),
        transformers.LlamaConfig(**shape, num_attention_heads=4),
        transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2),
    ):
        check_attention(transformers.AutoModelForCausalLM.from_config(config))
