"""Read a model's shape and context from `config.json` alone, for the families of decoders that are in use."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raft_cli.model import read_context
from raft_cli.train.planning.shape import Linear, Shape


@dataclass(frozen=True, slots=True)
class _Family:
    # attention_bias switches qkv and output biases where a family has the switch; norms are those of a layer.
    switch: bool = False
    qkv_bias: bool = False
    all_bias: bool = False
    tied: bool = False
    head_dim: int = 0
    norms: int = 2
    query_norm: str = ""
    fused: bool = False
    gated: bool = True
    windowed: bool = True


_FAMILIES = {
    "llama": _Family(switch=True),
    "granite": _Family(switch=True),
    "mistral": _Family(),
    "mixtral": _Family(),
    "smollm3": _Family(switch=True, tied=True, windowed=False),
    "qwen2": _Family(qkv_bias=True, windowed=False),
    "qwen2_moe": _Family(qkv_bias=True, windowed=False),
    "qwen3": _Family(switch=True, head_dim=128, query_norm="head", windowed=False),
    "qwen3_moe": _Family(switch=True, query_norm="head", windowed=False),
    "gemma": _Family(switch=True, tied=True, head_dim=256),
    "gemma2": _Family(switch=True, tied=True, head_dim=256, norms=4),
    "gemma3_text": _Family(switch=True, tied=True, head_dim=256, norms=4, query_norm="head"),
    "olmo2": _Family(switch=True, query_norm="all"),
    "phi3": _Family(fused=True),
    "phi": _Family(all_bias=True, gated=False, norms=1),
}


def read_shape(config: Mapping[str, Any], *, stored: int | None = None) -> Shape:
    """Read a model's shape from its `config.json`.

    A family that is not known is counted as if it were a Llama, with `exact` false.

    Args:
        stored: Parameters in the weight files, when they lie there (`count_stored`).
    """
    if isinstance(inner := config.get("text_config"), Mapping):  # a model that also sees or hears
        return replace(read_shape(inner), exact=False, stored=stored or 0)
    name = str(config.get("model_type", ""))
    family = _FAMILIES.get(name, _Family(switch=True))
    hidden = _first(config, "hidden_size", "n_embd", "d_model")
    layers = _first(config, "num_hidden_layers", "n_layer", "num_layers")
    heads = _first(config, "num_attention_heads", "n_head", default=1)
    keys = _first(config, "num_key_value_heads", default=heads)
    head_dim = _first(config, "head_dim", default=family.head_dim or hidden // heads)
    vocab = _first(config, "vocab_size")
    linears = (
        *_list_attention(config, family, (hidden, heads * head_dim, keys * head_dim), layers),
        *_list_feed_forward(config, family, hidden, layers),
    )
    inner_norms = {"head": 2 * head_dim, "all": (heads + keys) * head_dim, "": 0}[family.query_norm]
    plain = 1 if family.gated else 2  # a LayerNorm has a bias too
    tied = bool(config.get("tie_word_embeddings", family.tied))
    return Shape(
        family=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        queries=heads * head_dim,
        keys=keys * head_dim,
        ffn=_mean_width(linears, layers),
        vocab=vocab,
        linears=linears,
        embedding=vocab * hidden,
        head=(0 if tied else vocab * hidden) + (vocab if family.all_bias else 0),
        norms=plain * hidden * (family.norms * layers + 1) + layers * inner_norms,
        context=read_context(config),
        window=_read_window(config, family),
        exact=name in _FAMILIES and not config.get("qk_layernorm"),
        stored=stored or 0,
    )


def _list_attention(
    config: Mapping[str, Any], family: _Family, widths: tuple[int, int, int], layers: int
) -> Iterator[Linear]:
    hidden, queries, keys = widths
    switched = family.switch and bool(config.get("attention_bias"))
    biased = switched or family.all_bias or bool(config.get("qkv_bias", family.qkv_bias))
    if family.fused:
        yield Linear("qkv_proj", hidden, queries + 2 * keys, layers, layers, bias=biased)
    else:
        for name, width in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
            yield Linear(name, hidden, width, layers, layers, bias=biased)
    out = "dense" if family.all_bias else "o_proj"
    yield Linear(out, queries, hidden, layers, layers, bias=switched or family.all_bias)


def _list_feed_forward(config: Mapping[str, Any], family: _Family, hidden: int, layers: int) -> Iterator[Linear]:
    width = _first(config, "intermediate_size", "n_inner", default=4 * hidden)
    experts = _first(config, "num_experts", "num_local_experts", "n_routed_experts")
    sparse = _count_sparse(config, layers) if experts else 0
    biased = family.all_bias or (family.switch and bool(config.get("mlp_bias")))
    if layers > sparse:
        yield from _list_block(family, (hidden, width), layers - sparse, biased)
    if sparse:
        used = _first(config, "num_experts_per_tok", default=1)
        each = _first(config, "moe_intermediate_size", default=width)
        count, active = sparse * experts, sparse * used
        yield Linear("experts.gate_up_proj", hidden, 2 * each, count, active, module=False)
        yield Linear("experts.down_proj", each, hidden, count, active, module=False)
        yield Linear("gate", hidden, experts, sparse, sparse, module=False)
        if shared := _first(config, "shared_expert_intermediate_size"):
            yield from _list_block(family, (hidden, shared), sparse, biased)
            yield Linear("shared_expert_gate", hidden, 1, sparse, sparse)


def _list_block(family: _Family, widths: tuple[int, int], count: int, biased: bool) -> Iterator[Linear]:
    hidden, width = widths
    if not family.gated:
        yield Linear("fc1", hidden, width, count, count, bias=biased)
        yield Linear("fc2", width, hidden, count, count, bias=biased)
        return
    if family.fused:
        yield Linear("gate_up_proj", hidden, 2 * width, count, count, bias=biased)
    else:
        yield Linear("gate_proj", hidden, width, count, count, bias=biased)
        yield Linear("up_proj", hidden, width, count, count, bias=biased)
    yield Linear("down_proj", width, hidden, count, count, bias=biased)


def _count_sparse(config: Mapping[str, Any], layers: int) -> int:
    step = _first(config, "decoder_sparse_step", default=1)
    dense = set(config.get("mlp_only_layers") or ()) | set(range(_first(config, "first_k_dense_replace")))
    return sum(1 for layer in range(layers) if layer not in dense and (layer + 1) % step == 0)


def _mean_width(linears: tuple[Linear, ...], layers: int) -> int:
    inner = sum(each.inputs * each.active for each in linears if each.name.endswith(("down_proj", "fc2")))
    return inner // max(1, layers)


def _read_window(config: Mapping[str, Any], family: _Family) -> int:
    if not config.get("use_sliding_window", family.windowed):
        return 0
    return _first(config, "sliding_window")


def _first(config: Mapping[str, Any], *names: str, default: int = 0) -> int:
    return next((int(value) for name in names if isinstance(value := config.get(name), int | float)), default)
