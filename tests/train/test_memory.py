"""Memory: counts equal those of real models and of peft; the whole stands beside published figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raft_cli.train.planning.families import read_context, read_shape
from raft_cli.train.planning.memory import Load, Memory, estimate_memory, measure_layer
from raft_cli.train.planning.shape import count_adapters, count_stored

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
SPARSE = {"moe_intermediate_size": 48, "num_experts_per_tok": 2}
MODELS = {
    "llama": {},
    "llama-biased": {"attention_bias": True, "mlp_bias": True},
    "mistral": {"head_dim": 32},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 16},
    "qwen3-wide": {"head_dim": 32, "attention_bias": True},
    "gemma": {"head_dim": 32},
    "gemma2": {"head_dim": 32},
    "gemma3_text": {"head_dim": 32},
    "phi": {},
    "phi3": {},
    "granite": {},
    "olmo2": {},
    "smollm3": {},
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": {"num_experts": 4, "shared_expert_intermediate_size": 80, **SPARSE},
    "qwen3_moe": {"num_experts": 4, "decoder_sparse_step": 2, "head_dim": 16, **SPARSE},
}


def build_model(name: str) -> tuple[Any, dict[str, Any]]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(name.partition("-")[0], **{**SMALL, **MODELS[name]})
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config), json.loads(config.to_json_string())


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning"
)
@pytest.mark.parametrize("name", MODELS)
def test_counts_equal_those_of_the_real_model_and_of_peft(name: str) -> None:
    from peft import LoraConfig, get_peft_model

    model, config = build_model(name)
    shape = read_shape(config)
    assert shape.exact
    assert shape.total == model.num_parameters()
    if name in ("mixtral", "qwen3_moe"):  # peft adapts experts there in ways of its own
        return
    for dora in (False, True):
        fresh, _ = build_model(name)
        tuned = get_peft_model(fresh, LoraConfig(r=4, target_modules="all-linear", use_dora=dora))
        assert count_adapters(shape, 4, ("all-linear",), dora=dora) == tuned.get_nb_trainable_parameters()[0]
    for target in shape.names:
        fresh, _ = build_model(name)
        tuned = get_peft_model(fresh, LoraConfig(r=4, target_modules=[target]))
        assert count_adapters(shape, 4, (target,), dora=False) == tuned.get_nb_trainable_parameters()[0], target


LLAMA_2 = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}
LLAMA_3 = {**LLAMA_2, "intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256}
QWEN_2 = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}
LOAD = Load(
    method="lora",
    precision="bf16",
    optimizer="adamw_torch_fused",
    attention="varlen",
    packing=True,
    checkpointing=True,
    micro_tokens=8192,
    longest=3000,
    adapters=80_000_000,
    rank=32,
    dora=False,
    dropout=False,
    strategy="ddp",
    world=1,
    cuda=True,
)


@pytest.mark.parametrize(
    ("config", "total", "adapters"),
    [
        (LLAMA_2, 6_738_415_616, 39_976_960),
        (LLAMA_3, 8_030_261_248, 41_943_040),
        (QWEN_2, 7_615_616_512, 40_370_176),
    ],
)
def test_known_models(config: dict[str, Any], total: int, adapters: int) -> None:
    shape = read_shape(config)
    assert shape.total == shape.active == total
    assert count_adapters(shape, 16, ("all-linear",), dora=False) == adapters


def gigabytes(config: dict[str, Any], **changes: Any) -> float:
    return estimate_memory(read_shape(config), replace(LOAD, **changes)).total / 1e9


def test_anchors() -> None:
    assert 20 <= gigabytes(LLAMA_2) <= 23  # reference, section 7: about 20 GB
    for config in (LLAMA_2, LLAMA_3, QWEN_2):
        assert 9.5 <= gigabytes(config, method="qlora", micro_tokens=4096) <= 14  # axolotl's 10 to 14
        assert gigabytes(config, checkpointing=False) <= 80  # fits a card of 80 GiB


@pytest.mark.parametrize(("tokens", "published"), [(2048, 23.8), (4096, 29.7), (8192, 36.6)])
def test_the_published_rows_of_qwen_7b(tokens: int, published: float) -> None:
    """Qwen's README: LoRA of rank 64 on four matrices a layer, checkpointing, logits of 152k entries."""
    config = {**LLAMA_2, "vocab_size": 151936}
    estimate = gigabytes(config, micro_tokens=tokens, adapters=143_000_000, rank=64, fused=False)
    assert estimate == pytest.approx(published, rel=0.08)


def test_full_training() -> None:
    for config, least, most in ((LLAMA_2, 105, 110), (LLAMA_3, 126, 130)):
        shape = read_shape(config)
        full = replace(LOAD, method="full", adapters=0)
        held = estimate_memory(shape, full)
        assert least <= (held.weights + held.gradients + held.optimizer) / 1e9 <= most  # 16 bytes a parameter
        assert 12 <= held.copies / 1e9 <= 16  # what autocast keeps besides
        lean = estimate_memory(shape, replace(full, optimizer="adamw_8bit"))
        assert lean.total < 0.45 * held.total and lean.copies == 0


def test_parts_add_up_and_shards_are_shared() -> None:
    shape = read_shape(QWEN_2)
    whole = estimate_memory(shape, replace(LOAD, method="full", adapters=0, world=4))
    assert whole.total == sum(getattr(whole, name) for name in Memory.__slots__ if name != "total")
    shared = estimate_memory(shape, replace(LOAD, method="full", adapters=0, world=4, strategy="fsdp"))
    assert shared.weights == whole.weights // 4 and shared.optimizer == whole.optimizer // 4
    assert shared.gradients * 8 == pytest.approx(whole.gradients, abs=8)  # the buckets of ddp, too
    assert gigabytes(LLAMA_2, fused=False) > gigabytes(LLAMA_2) + 2
    assert gigabytes(LLAMA_2, packing=False, attention="eager") > gigabytes(LLAMA_2)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning"
)
@pytest.mark.parametrize(
    ("method", "precision", "optimizer", "dora", "dropout"),
    [
        ("lora", "bf16", "adamw_torch_fused", False, False),
        ("lora", "bf16", "adamw_torch_fused", True, False),
        ("lora", "bf16", "adamw_torch_fused", False, True),
        ("lora", "fp32", "adamw_torch_fused", False, False),
        ("full", "bf16", "adamw_torch_fused", False, False),
        ("full", "bf16", "adamw_8bit", False, False),
        ("full", "fp32", "adamw_torch_fused", False, False),
    ],
)
def test_activations_are_those_that_autograd_saves(
    method: str, precision: str, optimizer: str, dora: bool, dropout: bool
) -> None:
    load = replace(LOAD, method=method, precision=precision, optimizer=optimizer, dora=dora, dropout=dropout, rank=8)
    two, three = (save_activations(load, layers) for layers in (2, 3))
    shape = read_shape({"model_type": "llama", **SMALL, "head_dim": 32})
    assert measure_layer(shape, load) == pytest.approx(three - two, rel=0.03)


def save_activations(load: Load, layers: int, tokens: int = 67) -> float:
    """Return the bytes a token that autograd saves in a small Llama."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**{**SMALL, "head_dim": 32, "num_hidden_layers": layers})
    narrow = load.precision == "bf16" and not load.master
    model: Any = LlamaForCausalLM._from_config(
        config, dtype=torch.bfloat16 if narrow else torch.float32, attn_implementation="sdpa"
    )
    inner = model.model
    if load.method == "lora":
        dropout = 0.1 if load.dropout else 0.0
        adapters = LoraConfig(r=load.rank, target_modules="all-linear", use_dora=load.dora, lora_dropout=dropout)
        inner = get_peft_model(model, adapters).get_base_model().model
    model.train()
    saved: dict[int, Any] = {}

    def note(tensor: Any) -> Any:  # noqa: ANN401
        if tokens in tensor.shape:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    cast = torch.autocast("cpu", torch.bfloat16, enabled=load.precision == "bf16")
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), cast:
        kept = inner(input_ids=torch.zeros(1, tokens, dtype=torch.long))
    assert kept is not None
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values()) / tokens


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        (
            {
                "max_position_embeddings": 131072,
                "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192},
            },
            131072,
        ),
        (
            {
                "max_position_embeddings": 32768,
                "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
            },
            131072,
        ),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, 131072),
        ({"n_positions": 1024, "rope_scaling": None}, 1024),
        ({}, 0),
    ],
)
def test_context(config: dict[str, Any], context: int) -> None:
    assert read_context(config) == context


def test_windows_and_strangers() -> None:
    assert read_shape({**QWEN_2, "sliding_window": 4096}).window == 0
    assert read_shape({**LLAMA_2, "model_type": "mistral", "sliding_window": 4096}).window == 4096
    stranger = read_shape({"model_type": "novel", "n_embd": 64, "n_layer": 2, "vocab_size": 10}, stored=12345)
    assert (stranger.exact, stranger.total, stranger.layers) == (False, 12345, 2)
    assert read_shape({"model_type": "see", "text_config": LLAMA_2}).exact is False
    assert read_shape({}).total == 0


def test_stored_weights_are_counted_by_their_headers(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    assert count_stored(tmp_path) is None
    save_file({"a": np.zeros((3, 4), np.float16), "b": np.zeros(5, np.float32)}, tmp_path / "model.safetensors")
    assert count_stored(tmp_path) == 17
    save_file({"c": np.zeros((2, 2), np.float16)}, tmp_path / "model-1.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"c": "model-1.safetensors", "d": "model-1.safetensors"}}))
    assert count_stored(tmp_path) == 4
    save_file({"c": np.zeros((2, 2), np.uint8)}, tmp_path / "model-1.safetensors")
    assert count_stored(tmp_path) is None  # packed
    (tmp_path / "model-1.safetensors").write_bytes(b"\xff" * 20)
    assert count_stored(tmp_path) is None
