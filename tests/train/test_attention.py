"""Packed attention: what transformers hands over reaches the kernel, and rows do not see each other."""

import inspect
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from raft_cli.train.attention import NAME, attend_packed, register_varlen

ROWS = [[5, 6, 7, 8, 9, 10, 11], [12, 13], [14, 15, 16, 17, 18]]


def attend_row_by_row(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    key_starts: torch.Tensor,
    longest: int,
    longest_key: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    """Do what torch's kernel does on a GPU, by its signature, with one call of dense attention for each row."""
    assert torch.equal(starts, key_starts) and longest == longest_key == int(starts.diff().max())
    pieces = []
    for first, last in zip(starts.tolist(), starts.tolist()[1:], strict=False):
        row = [states[first:last].transpose(0, 1)[None] for states in (query, key, value)]
        size = last - first
        mask = torch.ones(size, size, dtype=torch.bool).tril()
        if window_size[0] >= 0:
            mask &= torch.ones(size, size, dtype=torch.bool).triu(-window_size[0])
        attended = torch.nn.functional.scaled_dot_product_attention(
            *row, attn_mask=mask, scale=scale, enable_gqa=enable_gqa
        )
        pieces.append(attended[0].transpose(0, 1))
    return torch.cat(pieces)


def make_model(config: LlamaConfig | Qwen2Config, attention: str) -> torch.nn.Module:
    torch.manual_seed(1)
    model: torch.nn.Module = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    return model.eval()


SMALL = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize("config", [LlamaConfig(**SMALL), Qwen2Config(**SMALL)], ids=["llama", "qwen2"])
def test_a_pack_has_the_losses_and_gradients_of_its_rows(config: LlamaConfig | Qwen2Config) -> None:
    register_varlen(attend_row_by_row)
    packed, alone = make_model(config, NAME), make_model(config, "sdpa")
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([{"input_ids": row} for row in ROWS])
    del batch["labels"]
    logits = packed(**batch, use_cache=False).logits[0]
    singly = torch.cat([alone(torch.tensor([row]), use_cache=False).logits[0] for row in ROWS])
    torch.testing.assert_close(logits, singly, rtol=1e-4, atol=1e-5)
    for each in (logits, singly):
        each.square().sum().backward()
    for (name, one), (_, other) in zip(packed.named_parameters(), alone.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_the_kernel_gets_one_narrow_type_from_32_bit_weights() -> None:
    """Full fine-tuning autocasts float32 weights; rotary positions leave queries and keys wide, values narrow."""
    seen: list[set[torch.dtype]] = []

    def kernel(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *unused: Any, **also: Any) -> torch.Tensor:
        seen.append({query.dtype, key.dtype, value.dtype})
        return query

    register_varlen(kernel)
    model = make_model(LlamaConfig(**SMALL), NAME)
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([{"input_ids": row} for row in ROWS])
    with torch.autocast("cpu", torch.bfloat16):
        model(**batch, use_cache=False)
    assert seen == [{torch.bfloat16}] * 2


def test_torchs_kernel_takes_what_is_handed_over() -> None:
    from torch.nn.attention.varlen import varlen_attn

    assert {"scale", "window_size", "enable_gqa"} <= inspect.signature(varlen_attn).parameters.keys()


def test_a_window_counts_the_token_itself() -> None:
    """transformers' window of 3 sees the token and two before it: two to the left by the kernel's count."""
    seen: list[tuple[int, int]] = []

    def kernel(query: torch.Tensor, *unused: Any, window_size: tuple[int, int], **also: Any) -> torch.Tensor:
        seen.append(window_size)
        return query

    states = torch.zeros(1, 2, 4, 8)
    packed = {"cu_seq_lens_q": torch.tensor([0, 4], dtype=torch.int32), "max_length_q": 4, "kernel": kernel}
    for window in (None, 3):
        attended, weights = attend_packed(None, states, states, states, None, sliding_window=window, **packed)
        assert attended.shape == (1, 4, 2, 8) and weights is None
    assert seen == [(-1, 0), (2, 0)]


def test_what_is_not_packed_is_refused() -> None:
    states = torch.zeros(1, 2, 4, 8)
    with pytest.raises(ValueError, match="packed rows only"):
        attend_packed(None, states, states, states, None)
    starts = torch.tensor([0, 4], dtype=torch.int32)
    with pytest.raises(ValueError, match="no dropout"):
        attend_packed(None, states, states, states, None, dropout=0.1, cu_seq_lens_q=starts, max_length_q=4)
