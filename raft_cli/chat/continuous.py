"""Many prompts at once by transformers' continuous batching: for GPUs, and models of full attention only."""

import queue
from collections.abc import Mapping, Sequence
from typing import Any

from raft_cli.chat.batches import Ended
from raft_cli.chat.endings import Endings
from raft_cli.errors import ModelError

_LOOK = 1.0  # seconds between looks at whether the library's thread still lives
_LEAVE = 10.0  # seconds that it has to end


def answer_continuously(
    model: Any,  # noqa: ANN401 - untyped library
    prompts: Mapping[int, Sequence[int]],
    *,
    limit: int,
    pad: int,
    endings: Endings,
    ended: Ended,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Answer prompts greedily; `ended` takes place and tokens of each answer as soon as it has ended.

    The library knows no stop strings: an answer runs to its end-of-turn token or the limit and is cut then. Its cache
    lives for one call, since blocks that it shares do not say by which adapter they were made.

    Args:
        settings: Fields of `ContinuousBatchingConfig`, for tests on small machines.

    Raises:
        ModelError: The model attends by windows, or the library gave up.
    """
    check_attention(model)
    from transformers import ContinuousBatchingConfig, GenerationConfig
    from transformers.generation.continuous_batching.utils import WorkloadHints

    generation = GenerationConfig(
        do_sample=False, max_new_tokens=limit, eos_token_id=sorted(endings.tokens), pad_token_id=pad
    )
    hints = WorkloadHints(
        max_prompt_length=max(map(len, prompts.values())), max_generated_length=limit, num_requests=len(prompts)
    )
    waiting = set(prompts)
    with model.continuous_batching_context_manager(
        generation_config=generation,
        continuous_batching_config=ContinuousBatchingConfig(**(settings or {})),
        workload_hints=hints,
        warmup=model.device.type == "cuda",
        timeout=_LEAVE,
    ) as manager:
        for place in sorted(prompts, key=lambda place: list(prompts[place]), reverse=True):  # equal beginnings together
            try:
                manager.add_request(list(prompts[place]), str(place), limit, eos_token_id=sorted(endings.tokens))
            except queue.Full:
                break  # the thread has died; seen below
        while waiting:
            result = manager.get_result(timeout=_LOOK)
            if result is None and manager.is_running():
                continue
            if result is None or result.error:
                why = result.error if result is not None else "its thread ended"
                raise ModelError(f"continuous batching gave up ({why}); go on with --continuous off")
            if result.is_finished():
                ended(int(result.request_id), endings.cut(result.generated_tokens))
                waiting.discard(int(result.request_id))


def attends_fully(model: Any) -> bool:  # noqa: ANN401
    """Tell whether each layer attends to everything before it."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    windowed = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    return not (kinds - {"full_attention"} or (not kinds and windowed))


def check_attention(model: Any) -> None:  # noqa: ANN401
    """Make sure that each layer attends to everything before it.

    Raises:
        ModelError: It does not.
    """
    if not attends_fully(model):
        raise ModelError(
            f"{type(model).__name__} attends by windows, which continuous batching does not serve; "
            "give --continuous off"
        )
