"""Settings to recipe: every `auto` resolved by the rows, the model and the hardware. Knows no torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from math import ceil

from raft_cli.config.train import TrainConfig
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.model import ModelFolder
from raft_cli.train.data.pack import batch_rows, pack_rows
from raft_cli.train.planning.hardware import Hardware
from raft_cli.train.planning.memory import describe_load, estimate_memory
from raft_cli.train.planning.method import choose_attention, choose_packing, choose_precision, choose_targets
from raft_cli.train.planning.shape import Shape
from raft_cli.train.records import Recipe

USABLE = 0.9  # share of the free memory that a plan may fill
CUDA_TOKENS = 24_576  # a larger micro-batch is no faster
CPU_TOKENS = 8_192
_EVALS = 4  # evaluations of an epoch
_EVAL_SHARE = 0.2  # of the time of training that evaluations may take, unless their number is asked for
_EPOCHS = ((10_000, 1.0), (3_000, 2.0), (0, 3.0))  # rows from which on, passes (the RAFT authors: at most 3)


def is_installed(package: str) -> bool:
    """Tell whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def choose_recipe(
    config: TrainConfig,
    *,
    hardware: Hardware,
    shape: Shape,
    model: ModelFolder,
    lengths: Sequence[int],
    validation: int,
    pad: tuple[int, str],
    end_id: int,
    installed: Callable[[str], bool] = is_installed,
) -> Recipe:
    """Resolve the settings of a run.

    Args:
        lengths: Tokens of each row to train on.
        validation: Number of rows to evaluate on.
        pad: Id and text of the token that fills short rows.
        end_id: Token that ends a turn.

    Raises:
        ConfigError: Settings that this machine or this model cannot follow.
        DatasetError: There are no rows.
    """
    if not lengths:
        raise DatasetError("no row is left to train on")
    draft = _draft(config, hardware, shape, model, (*pad, end_id))
    fitted = _fit(draft, config, hardware=hardware, shape=shape, lengths=lengths, installed=installed)
    return _count_steps(fitted, config, lengths, validation)


def _draft(
    config: TrainConfig, hardware: Hardware, shape: Shape, model: ModelFolder, tokens: tuple[int, str, int]
) -> Recipe:
    """Return the recipe with what depends neither on the rows nor on memory."""
    precision = choose_precision(config, hardware)
    attention = choose_attention(config, hardware, shape, model.config, precision)
    return Recipe(
        base=model.name,
        base_path=str(model.path),
        method=config.method,
        rank=config.rank,
        alpha=config.alpha or 2 * config.rank,
        dropout=config.dropout,
        targets=choose_targets(config, shape),
        dora=config.dora,
        rslora=config.rslora,
        precision=precision,
        attention=attention,
        packing=choose_packing(config, attention, shape),
        checkpointing=config.checkpointing == "on",
        micro_tokens=1,
        accumulation=1,
        epochs=1.0,
        steps=1,
        learning_rate=config.learning_rate or (1e-5 if config.method == "full" else 1e-4),
        schedule=config.schedule,
        warmup=config.warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optimizer="adamw_torch_fused",
        eval_every=0,
        patience=config.patience,
        keep=config.keep,
        processes=_count_processes(config, hardware),
        nodes=config.nodes,
        strategy=config.strategy,
        device=hardware.kind,
        seed=config.seed,
        report_to=tuple(filter(None, config.report_to.split(","))),
        pad_id=tokens[0],
        pad_token=tokens[1],
        end_id=tokens[2],
        trust_remote_code=config.trust_remote_code,
    )


def _count_processes(config: TrainConfig, hardware: Hardware) -> int:
    if hardware.kind == "cpu":
        if config.strategy != "ddp":
            raise ConfigError(f"--strategy {config.strategy} needs GPUs, and this run is on the CPU; use ddp")
        return config.processes or 1
    if config.processes and config.processes > hardware.count:
        raise ConfigError(f"--processes {config.processes}: this machine shows {hardware.count} GPU(s), one for each")
    count = config.processes or hardware.count
    if config.strategy != "ddp" and count * config.nodes == 1:
        raise ConfigError(f"--strategy {config.strategy} spreads the model over several devices; here is one, use ddp")
    return count


def find_available(recipe: Recipe, hardware: Hardware) -> int:
    """Return the free memory for one process, in bytes; the processes of a CPU share it."""
    return hardware.free // (recipe.processes if hardware.kind == "cpu" else 1)


def group_rows(recipe: Recipe, lengths: Sequence[int]) -> list[list[int]]:
    """Return the rows of each micro-batch."""
    group = pack_rows if recipe.packing else batch_rows
    return [list(rows) for rows in group(lengths, recipe.micro_tokens)]


def find_batch(config: TrainConfig) -> int:
    """Return the rows that a step is to see, over all devices."""
    return config.batch or (64 if config.method == "full" else 32)


def _fit(
    draft: Recipe,
    config: TrainConfig,
    *,
    hardware: Hardware,
    shape: Shape,
    lengths: Sequence[int],
    installed: Callable[[str], bool],
) -> Recipe:
    """Settle the size of a micro-batch, and what is given up for it to fit: first speed, then the float32 master."""
    longest = max(lengths)
    low, high, step = _bound_tokens(draft, config, lengths)
    room = int(USABLE * find_available(draft, hardware))
    tried = draft
    for tried in _list_ways(draft, config, installed):

        def fits(tokens: int, tried: Recipe = tried) -> bool:
            load = describe_load(replace(tried, micro_tokens=tokens), shape, longest)
            return estimate_memory(shape, load).total <= room

        if fits(low):
            most = _find_most(fits, low, high)
            return replace(tried, micro_tokens=max(low, ceil(step / ceil(step / most))))
    return replace(tried, micro_tokens=low)  # nothing fits: the plan says so


def _list_ways(draft: Recipe, config: TrainConfig, installed: Callable[[str], bool]) -> Iterator[Recipe]:
    """Yield ways to train, best first: all activations kept, or recomputed; float32 master weights, or bf16 ones."""
    optimizers = [draft.optimizer]
    if draft.method == "full" and draft.precision == "bf16" and draft.strategy == "ddp" and installed("bitsandbytes"):
        optimizers.append("adamw_8bit")
    checkpointing = {"on": (True,), "off": (False,), "auto": (False, True)}[config.checkpointing]
    for optimizer, recompute in product(optimizers, checkpointing):
        yield replace(draft, optimizer=optimizer, checkpointing=recompute)


def _bound_tokens(recipe: Recipe, config: TrainConfig, lengths: Sequence[int]) -> tuple[int, int, int]:
    """Return the least and most tokens of a micro-batch, and those of a step on one device.

    A micro-batch holds the longest row, and no more rows than a step.
    """
    world = recipe.processes * recipe.nodes
    share = ceil(find_batch(config) / world * sum(lengths) / len(lengths))
    most = config.micro_tokens or (CUDA_TOKENS if recipe.device == "cuda" else CPU_TOKENS)
    high = max(max(lengths), min(most, share))
    return (high if config.micro_tokens else max(lengths)), high, max(high, share)


def _find_most(fits: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest number up to `high` that fits, given that `low` does."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _count_steps(recipe: Recipe, config: TrainConfig, lengths: Sequence[int], validation: int) -> Recipe:
    groups = len(group_rows(recipe, lengths))
    world = recipe.processes * recipe.nodes
    each = ceil(groups / world)
    accumulation = min(each, max(1, round(find_batch(config) * groups / len(lengths) / world)))
    per_epoch = ceil(each / accumulation)
    epochs = config.epochs or next(passes for rows, passes in _EPOCHS if len(lengths) >= rows)
    steps = ceil(epochs * per_epoch)
    if config.max_steps and config.max_steps < steps:
        steps, epochs = config.max_steps, config.max_steps / per_epoch
    return replace(
        recipe,
        accumulation=accumulation,
        epochs=epochs,
        steps=steps,
        eval_every=min(steps, _space_evaluations(config, per_epoch, validation, len(lengths))) if validation else 0,
    )


def _space_evaluations(config: TrainConfig, per_epoch: int, validation: int, rows: int) -> int:
    """Return the steps from one evaluation to the next; a row costs a third of what it costs in training."""
    wanted = per_epoch / (config.evals or _EVALS)
    cheap = 0 if config.evals else validation / 3 / (_EVAL_SHARE * rows / per_epoch)
    return max(1, round(wanted), ceil(cheap))
