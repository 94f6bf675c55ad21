"""Keys and values of a batch in tensors of their final size: tokens are added, and rows removed, in place.

The cache that transformers makes by itself is copied whole for each token of an answer.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, with room for the tokens to come.

    `keys` and `values` are the filled part, (rows, heads, tokens, size): a view, from which length and masks follow.
    """

    def __init__(self, parts: Sequence[DynamicLayer], room: int) -> None:
        super().__init__()
        keys, values = [part.keys for part in parts], [part.values for part in parts]
        self.dtype, self.device, self.is_initialized = keys[0].dtype, keys[0].device, True
        self._width = max(each.shape[2] for each in keys)
        self._keys, self._values = _stack(keys, self._width, room), _stack(values, self._width, room)
        self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add tokens, and return the keys and values of all so far."""
        end = self._width + key_states.shape[2]
        self._keys[:, :, self._width : end] = key_states
        self._values[:, :, self._width : end] = value_states
        self._width = end
        return self._show()

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Keep the rows named, in rising order."""
        kept = beam_idx.tolist()
        moved = next((row for row, source in enumerate(kept) if row != source), len(kept))
        for held in (self._keys, self._values):
            held[moved : len(kept), :, : self._width] = held[beam_idx[moved:], :, : self._width]
        self._keys, self._values = self._keys[: len(kept)], self._values[: len(kept)]
        self._show()

    def _show(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys, self.values = self._keys[:, :, : self._width], self._values[:, :, : self._width]
        return self.keys, self.values


def is_plain(cache: Any) -> bool:  # noqa: ANN401 - untyped library
    """Tell whether a cache holds the keys and values of every token, and nothing else."""
    return type(cache) is DynamicCache and {type(layer) for layer in cache.layers} == {DynamicLayer}


def put_together(parts: Sequence[Cache], room: int) -> Cache:
    """Return one cache of the rows of several plain ones, flush right, with room for so many tokens more.

    The parts are emptied on the way: memory holds one layer twice at most.
    """
    layers = []
    for number, first in enumerate(parts[0].layers):
        layers.append(RoomyLayer([part.layers[number] for part in parts], room) if first.is_initialized else first)
        for part in parts:
            part.layers[number] = None
    return Cache(layers=layers)


def _stack(parts: Sequence[torch.Tensor], width: int, room: int) -> torch.Tensor:
    """Return (rows, heads, width + room, size). What nobody wrote is 0: a mask does not hide what is no number."""
    _, heads, _, size = parts[0].shape
    stacked = parts[0].new_zeros(sum(map(len, parts)), heads, width + room, size)
    start = 0
    for part in parts:
        stacked[start : start + len(part), :, width - part.shape[2] : width] = part
        start += len(part)
    return stacked
