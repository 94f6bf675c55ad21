"""Attention over packed rows by torch's own variable-length kernel, so that no flash-attn build is needed.

Imports torch; load it late.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

NAME = "varlen"
Kernel = Callable[..., torch.Tensor]


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
    kernel: Kernel | None = None,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    """Attend causally inside each packed row.

    Args:
        query: Shape (1, heads, tokens, width); `key` and `value` may have fewer heads (grouped queries).
        cu_seq_lens_q: Where each row begins, and the end of the last: int32, shape (rows + 1,).
        kernel: What attends; torch's own unless given.

    Returns:
        The attended values, shape (1, tokens, heads, width), and no weights.

    Raises:
        ValueError: The batch is not packed, or dropout in attention is asked for.
    """
    del attention_mask, unused
    if cu_seq_lens_q is None or max_length_q is None or query.shape[0] != 1:
        raise ValueError("attention 'varlen' takes packed rows only")
    if dropout:
        raise ValueError("attention 'varlen' has no dropout")
    if query.dtype == torch.float32 and torch.is_autocast_enabled(query.device.type):
        # rotary positions come out in the type of 32-bit weights, and the kernel has no autocast of its own
        narrow = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(narrow), key.to(narrow), value.to(narrow)
    packed_query, packed_key, packed_value = (states[0].transpose(0, 1).contiguous() for states in (query, key, value))
    attended = (kernel or _load_kernel())(
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
    return attended.unsqueeze(0), None


def _load_kernel() -> Kernel:
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn  # type: ignore[return-value]  # one tensor, since nothing more is asked of it


def register_varlen(kernel: Kernel | None = None) -> None:
    """Make `attn_implementation="varlen"` known to transformers, without any mask."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, partial(attend_packed, kernel=kernel))
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)
