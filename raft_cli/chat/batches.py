"""Many prompts at once through a transformers model: padded on the left, longest first, smaller when memory runs out.

The loop is ours so that each answer is handed over at the token that ends it, and its row leaves the batch there;
`generate` keeps all rows until the last has ended. What settings of sampling a model brings is not applied.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raft_cli.chat.holder import free_memory
from raft_cli.errors import ModelError

Ids = Sequence[int]
Step = Callable[[Any, Any, Any, Any], tuple[Any, Any]]
Ended = Callable[[int, list[int]], None]

_CPU_TOKENS = 16_384  # of prompts and answers together in a batch
_READ_CPU, _READ_GPU = 1024, 16_384  # tokens of prompts read at once
_SHARE = 0.5  # of free memory
_WIDTHS = 24  # numbers as wide as a hidden state that a token takes while a prompt is read (a 7B model takes 20)


def answer_prompts(
    model: Any,  # noqa: ANN401 - untyped library
    prompts: Mapping[int, Ids],
    *,
    limit: int,
    budget: int,
    is_reached: Callable[[Ids], bool],
    ended: Ended,
) -> None:
    """Answer prompts greedily, batch by batch.

    Args:
        prompts: Token ids by place.
        limit: Most tokens of an answer.
        budget: Most tokens of a batch, prompts and answers with their padding; one prompt is a batch at least. It is
            halved, and what had not ended is done again, when memory runs out.
        is_reached: Tells whether an answer ends with its last token.
        ended: Takes place and tokens of each answer as soon as it has ended.

    Raises:
        ModelError: Memory does not suffice for a single prompt, or the model cannot be asked this way.
    """
    import torch

    waiting = sorted(prompts, key=lambda place: (-len(prompts[place]), place))
    while waiting:
        width = len(prompts[waiting[0]]) + limit
        batch = waiting[: max(1, budget // width)]
        done: set[int] = set()

        def end(place: int, ids: list[int], done: set[int] = done) -> None:
            ended(place, ids)
            done.add(place)

        shortage = ""
        try:
            continue_together(model, {at: prompts[at] for at in batch}, limit=limit, is_reached=is_reached, ended=end)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            shortage = _name_shortage(error)
            if not shortage:
                raise
        if shortage:  # after the handler: the error holds on to the tensors
            free_memory()
            if len(batch) == 1:
                raise ModelError(
                    f"not enough memory for a prompt of {width - limit:,} tokens and an answer of {limit:,}: {shortage}"
                )
            budget = len(batch) * width // 2
        waiting = [place for place in waiting if place not in done]


def continue_together(
    model: Any,  # noqa: ANN401
    prompts: Mapping[int, Ids],
    *,
    limit: int,
    is_reached: Callable[[Ids], bool],
    ended: Ended,
    choose: Callable[[Any], Any] = lambda scores: scores.argmax(-1),
) -> None:
    """Answer prompts as one batch; a row leaves it at its last token.

    Args:
        choose: Draws a token for each row from the scores of the vocabulary (rows by tokens).

    Raises:
        ModelError: The model gives no numbers.
    """
    import torch

    with torch.inference_mode():
        rows, said, step = list(prompts), {place: list[int]() for place in prompts}, _prepare(model)
        mask = _pad(list(prompts.values()), model.device)[1]
        scores, cache = _read(model, step, list(prompts.values()), room=limit)
        if scores.isnan().any():
            raise ModelError("the model gives no numbers (NaN); its weights are damaged, or need --dtype fp32")
        positions = mask.sum(-1, keepdim=True) - 1
        while True:
            drawn = choose(scores)
            for place, token in zip(rows, drawn.tolist(), strict=True):
                said[place].append(token)
            over = [len(said[place]) >= limit or is_reached(said[place]) for place in rows]
            for place in [place for place, stops in zip(rows, over, strict=True) if stops]:
                ended(place, said.pop(place))
            left = [row for row, stops in enumerate(over) if not stops]
            if len(left) < len(rows):
                rows = [rows[row] for row in left]
                if not rows:
                    return
                kept = torch.tensor(left, dtype=torch.long, device=model.device)
                drawn, mask, positions = drawn[kept], mask[kept], positions[kept]
                cache.reorder_cache(kept)
            positions, mask = positions + 1, torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            scores, cache = step(drawn[:, None], mask, positions, cache)


def choose_budget(model: Any) -> int:  # noqa: ANN401
    """Return how many tokens a batch may have: a guess, since running out of memory halves it."""
    import torch

    if model.device.type != "cuda":
        return _CPU_TOKENS
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    numbers = 2 * config.num_hidden_layers * heads * size + _WIDTHS * config.hidden_size
    free, _ = torch.cuda.mem_get_info(model.device)
    return max(1, int(_SHARE * free / (numbers * model.dtype.itemsize)))


def _read(model: Any, step: Step, prompts: Sequence[Ids], *, room: int) -> tuple[Any, Any]:  # noqa: ANN401
    """Read prompts, longest first, and return the scores of the tokens after them and the cache of all.

    Parts of like length are read one after the other, since padding, masks and large tensors cost time; but all at
    once where a model keeps more or less than keys and values of every token.
    """
    import torch
    from transformers.cache_utils import DynamicCache

    from raft_cli.chat.kv_cache import is_plain, put_together

    def read(part: Sequence[Ids]) -> tuple[Any, Any]:
        tokens, mask = _pad(part, model.device)
        return step(tokens, mask, (mask.cumsum(-1) - 1).clamp(min=0), None)

    if not is_plain(DynamicCache(config=model.config)):
        return read(prompts)
    most = max(1, (_READ_CPU if model.device.type == "cpu" else _READ_GPU) // len(prompts[0]))
    scores, parts = [], []
    for start in range(0, len(prompts), most):
        seen, cache = read(prompts[start : start + most])
        if not is_plain(cache):  # in spite of its configuration
            return read(prompts)
        scores.append(seen)
        parts.append(cache)
    return torch.cat(scores), put_together(parts, room)


def _pad(prompts: Sequence[Ids], device: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return token ids and mask with the prompts flush right, so that what follows is in line; nobody sees the rest."""
    import torch

    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(ids)) + list(ids) for ids in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
    return tokens, mask


def _prepare(model: Any) -> Step:  # noqa: ANN401
    """Return a function from tokens, mask, positions and cache to scores of the next tokens and the cache."""
    taken = inspect.signature(model.forward).parameters

    def step(tokens: Any, mask: Any, positions: Any, cache: Any) -> tuple[Any, Any]:  # noqa: ANN401
        more = {"position_ids": positions, "logits_to_keep": 1}
        output = model(
            input_ids=tokens,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **{name: value for name, value in more.items() if name in taken},
        )
        if (held := getattr(output, "past_key_values", None)) is None:
            raise ModelError(
                f"a {type(model).__name__} keeps no cache of keys and values; ask it as endpoint:MODEL@URL"
            )
        return output.logits[:, -1], held

    return step


def _name_shortage(error: Exception) -> str:
    """Return what an allocator complained of, or an empty string when the error is another."""
    import torch

    text = str(error)
    short = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text
    return (text.splitlines() or ["out of memory"])[0] if short else ""
