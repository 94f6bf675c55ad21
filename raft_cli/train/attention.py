"""Attention over packed rows by torch's own variable-length kernel, so that no flash-attn build is needed.

Imports torch; load it late.
"""

from typing import Any

import torch

NAME = "varlen"


def attend_packed(
    module: Any,  # noqa: ANN401 - untyped library
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """Attend causally inside each packed row.

    Args:
        query: Shape (1, heads, tokens, width); `key` and `value` may have fewer heads (grouped queries).
        cu_seq_lens_q: Where each row begins, and the end of the last: int32, shape (rows + 1,).

    Returns:
        The attended values, shape (1, tokens, heads, width), and no weights.

    Raises:
        ValueError: The batch is not packed, or dropout in attention is asked for.
    """
    from torch.nn.attention.varlen import varlen_attn

    del attention_mask, unused
    if cu_seq_lens_q is None or max_length_q is None or query.shape[0] != 1:
        raise ValueError("attention 'varlen' takes packed rows only")
    if dropout:
        raise ValueError("attention 'varlen' has no dropout")
    packed_query, packed_key, packed_value = (states[0].transpose(0, 1).contiguous() for states in (query, key, value))
    attended = varlen_attn(
        packed_query,
        packed_key,
        packed_value,
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(-1 if sliding_window is None else sliding_window - 1, 0),
        enable_gqa=key.shape[1] != query.shape[1],
    )
    assert isinstance(attended, torch.Tensor)
    return attended.unsqueeze(0), None


def register_varlen() -> None:
    """Make `attn_implementation="varlen"` known to transformers, without any mask."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend_packed)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)
