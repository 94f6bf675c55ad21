"""Estimate how long training takes: arithmetic of a pass over the rows, by the peak of the device. Knows no torch."""

from collections.abc import Sequence

from raft_cli.train.planning.method import PACKED
from raft_cli.train.planning.shape import Shape
from raft_cli.train.records import Recipe

UTILISATION = 0.40  # share of the peak; NVIDIA publishes 0.41 to 0.43 for LoRA of 7B to 8B models on an H100
_RECOMPUTE = {"full": 1.27}  # what checkpointing costs (measured on a CPU); adapters 1.46
_RECOMPUTE_ADAPTERS = 1.46


def count_operations(recipe: Recipe, shape: Shape, groups: Sequence[Sequence[int]], supervised: int) -> float:
    """Count the operations of one pass over the rows, forwards and backwards.

    Frozen matrices have no weight gradient: 4 operations a parameter and token with adapters, 6 with full training.

    Args:
        groups: Lengths of the rows of each micro-batch.
        supervised: Tokens with loss, the only ones that meet the head on a GPU.
    """
    factor = 6 if recipe.method == "full" else 4
    if recipe.packing:
        computed = sum(sum(group) for group in groups)
    else:
        computed = sum(max(group) * len(group) for group in groups)
    headed = supervised if recipe.device == "cuda" else computed
    linear = factor * (shape.matrices * computed + shape.vocab * shape.hidden * headed)
    return linear + _count_attention(recipe, shape, groups)


def _count_attention(recipe: Recipe, shape: Shape, groups: Sequence[Sequence[int]]) -> float:
    """Return the operations of attention: 4 a pair and width forwards, twice that backwards."""
    if recipe.attention in PACKED:
        pairs = sum(length * length / 2 for group in groups for length in group)
    elif recipe.packing:  # a whole matrix over the pack
        pairs = sum(sum(group) ** 2 for group in groups)
    else:
        pairs = sum(len(group) * max(group) ** 2 for group in groups)
    return 12 * shape.layers * shape.queries * pairs


def estimate_seconds(
    recipe: Recipe, shape: Shape, flops: float, *, groups: Sequence[Sequence[int]], supervised: int, evaluated: int
) -> float | None:
    """Estimate the seconds of training, with its evaluations, without loading; None when the peak is not known.

    Args:
        flops: Peak of one device per second.
        evaluated: Tokens of an evaluation.
    """
    world = recipe.processes * recipe.nodes
    if recipe.device == "cpu":
        world = recipe.nodes  # the processes of a machine share its cores
    if not flops:
        return None
    training = count_operations(recipe, shape, groups, supervised) * recipe.epochs
    if recipe.checkpointing:
        training *= _RECOMPUTE.get(recipe.method, _RECOMPUTE_ADAPTERS)
    evaluations = recipe.steps // recipe.eval_every if recipe.eval_every else 0
    forward = 2 * shape.matrices * evaluated * (evaluations + 1)  # one before the first step
    return (training + forward) / (flops * UTILISATION * world)
