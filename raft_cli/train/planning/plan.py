"""What a run would be, before any GPU time is spent: rows, steps, memory, hours, and what to mind. Knows no torch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from raft_cli.errors import ConfigError
from raft_cli.train.data.pack import measure_fill
from raft_cli.train.planning.duration import UTILISATION, estimate_seconds
from raft_cli.train.planning.hardware import Hardware
from raft_cli.train.planning.memory import (
    Memory,
    describe_load,
    estimate_memory,
    is_pure,
    list_parts,
    weigh_checkpoint,
)
from raft_cli.train.planning.recipe import USABLE, find_available, group_rows
from raft_cli.train.planning.shape import ALL_LINEAR, Shape
from raft_cli.train.records import Encoded, Overflow, Recipe
from raft_cli.train.units import show_bytes

FEW_ROWS = 1_000
MANY_EPOCHS = 3
OUTLIER = 2  # times the 99th percentile


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, foretold.

    Attributes:
        lengths: Tokens of a row: median, 95th and 99th percentile, longest.
        supervised: Tokens with loss.
        oracle_share: Share of rows whose oracle stands among their documents.
        documents: Mean number of documents of a row.
        shortened: Rows that lose distractors.
        overflow: Rows that are set aside, by reason.
        limit: Most tokens a row may have.
        fill: Share of real tokens in a micro-batch.
        step_rows: Mean rows of a step, over all devices.
        groups: Micro-batches of one pass over the rows.
        parameters: Of the model; `trained` of them (or of the adapters) are trained.
        memory: On one device, of `available` bytes that are free there.
        lack: Why it does not fit, and what helps; empty when it does.
        checkpoint: Bytes of a checkpoint on disk.
        seconds: Of training, without loading; None when the device's speed is not known.
        notes: What to mind.
    """

    rows: int
    validation_rows: int
    tokens: int
    lengths: tuple[int, int, int, int]
    supervised: int
    oracle_share: float
    documents: float
    shortened: int
    overflow: dict[str, int]
    limit: int
    fill: float
    step_rows: float
    groups: int
    steps: int
    steps_per_epoch: int
    parameters: int
    trained: int
    device: str
    memory: Memory
    available: int
    fits: bool
    lack: str
    checkpoint: int
    seconds: float | None
    notes: tuple[str, ...]


def plan_training(
    recipe: Recipe,
    *,
    hardware: Hardware,
    shape: Shape,
    rows: Sequence[Encoded],
    validation: Sequence[Encoded],
    overflow: Sequence[Overflow],
    limit: int,
) -> Plan:
    """Foretell a run of `recipe` over `rows`.

    Args:
        validation: Rows of an evaluation.
        limit: Most tokens a row may have.
    """
    lengths = [row.length for row in rows]
    groups = group_rows(recipe, lengths)
    supervised = sum(len(row.completion) for row in rows)
    load = describe_load(recipe, shape, max(lengths))
    memory = estimate_memory(shape, load)
    available = find_available(recipe, hardware)
    sizes = [[lengths[row] for row in group] for group in groups]
    evaluated = sum(row.length for row in validation)
    lack = ""
    if memory.total > USABLE * available:
        lack = _explain_lack(recipe, memory, available) + _name_outlier(recipe, shape, lengths)
    return Plan(
        rows=len(rows),
        validation_rows=len(validation),
        tokens=sum(lengths),
        lengths=find_percentiles(lengths),
        supervised=supervised,
        oracle_share=sum(row.present for row in rows) / len(rows),
        documents=sum(row.documents for row in rows) / len(rows),
        shortened=sum(row.dropped > 0 for row in rows),
        overflow=dict(Counter(row.reason for row in overflow).most_common()),
        limit=limit,
        fill=measure_fill(groups, lengths, packed=recipe.packing, budget=recipe.micro_tokens),
        step_rows=len(rows) / len(groups) * recipe.accumulation * load.world,
        groups=len(groups),
        steps=recipe.steps,
        steps_per_epoch=ceil(ceil(len(groups) / load.world) / recipe.accumulation),
        parameters=shape.total,
        trained=load.adapters or shape.total,
        device=hardware.name,
        memory=memory,
        available=available,
        fits=not lack,
        lack=lack,
        checkpoint=weigh_checkpoint(shape, load),
        seconds=estimate_seconds(
            recipe, shape, hardware.flops, groups=sizes, supervised=supervised, evaluated=evaluated
        ),
        notes=(*filter(None, [lack]), *_list_notes(recipe, hardware, shape, lengths)),
    )


def find_percentiles(lengths: Sequence[int]) -> tuple[int, int, int, int]:
    """Return median, 95th and 99th percentile (the nearest rank) and the longest."""
    ordered = sorted(lengths)
    median, most, nearly = (ordered[ceil(len(ordered) * share) - 1] for share in (0.5, 0.95, 0.99))
    return median, most, nearly, ordered[-1]


def check_memory(plan: Plan) -> None:
    """Make sure that the memory of the device suffices.

    Raises:
        ConfigError: It does not; the message names the parts and what helps.
    """
    if plan.fits:
        return
    parts = sorted(list_parts(plan.memory), key=lambda part: -part[1])
    said = ", ".join(f"{label.lower()} {show_bytes(size)}" for label, size in parts)
    raise ConfigError(f"{plan.lack}. On {plan.device}: {said}. To start it all the same, give --micro-tokens")


def count_checkpoints(recipe: Recipe) -> int:
    """Return how many checkpoints lie on the disk at once: those kept, the best, and one that is being written."""
    return recipe.keep + 2


def measure_disk(plan: Plan, recipe: Recipe) -> int:
    """Return the bytes of all checkpoints that lie on the disk at once."""
    return plan.checkpoint * count_checkpoints(recipe)


def _list_notes(recipe: Recipe, hardware: Hardware, shape: Shape, lengths: Sequence[int]) -> list[str]:
    return [
        *_note_optimizer(recipe),
        *_note_rows(recipe, shape, len(lengths), max(lengths)),
        *_note_machine(recipe, hardware, shape),
    ]


def _explain_lack(recipe: Recipe, memory: Memory, available: int) -> str:
    ways = [] if recipe.checkpointing else ["--checkpointing on"]
    ways += {"full": ["--method lora"], "lora": ["--method qlora"]}.get(recipe.method, [])
    if recipe.strategy == "ddp" and recipe.processes * recipe.nodes > 1 and recipe.method != "qlora":
        ways.append("--strategy fsdp")
    ways += ["--max-tokens (shorter rows) with a smaller --micro-tokens", "a smaller model"]
    return (
        f"this does not fit: about {show_bytes(memory.total)} are needed, and {USABLE:.0%} of the "
        f"{show_bytes(available)} that are free may be used; what helps, best first: {', '.join(ways)}"
    )


def _name_outlier(recipe: Recipe, shape: Shape, lengths: Sequence[int]) -> str:
    """Return what few long rows cost, since a micro-batch holds the longest; nothing where they are not the cause."""
    _, _, nearly, longest = find_percentiles(lengths)
    if longest <= OUTLIER * nearly or recipe.micro_tokens > longest:
        return ""
    count = sum(length > OUTLIER * nearly for length in lengths)
    rows = (
        f"1 row of {longest:,} tokens decides" if count == 1 else f"{count:,} rows of up to {longest:,} tokens decide"
    )
    less = estimate_memory(shape, describe_load(replace(recipe, micro_tokens=nearly), shape, nearly))
    return f"; {rows}: --max-tokens {nearly}, enough for 99% of the rows, would need about {show_bytes(less.total)}"


def _note_optimizer(recipe: Recipe) -> list[str]:
    notes = []
    if recipe.method == "full" and is_pure(recipe.optimizer):
        notes.append(
            "float32 master weights do not fit, so weights are trained in bf16 with 8-bit Adam: small updates are "
            "rounded away; --method lora, or --strategy fsdp over several GPUs, loses less"
        )
    return notes


def _note_rows(recipe: Recipe, shape: Shape, rows: int, longest: int) -> list[str]:
    notes = []
    if recipe.epochs > MANY_EPOCHS:
        notes.append(f"{recipe.epochs:g} epochs: the RAFT authors advise at most {MANY_EPOCHS}; more learns by heart")
    if rows < FEW_ROWS:
        notes.append(f"{rows:,} rows are few: below {FEW_ROWS:,} the figures of an evaluation hardly move")
    if shape.context and longest > shape.context:
        notes.append(
            f"the longest row has {longest:,} tokens, the model reads {shape.context:,}: beyond that it was not trained"
        )
    if shape.window and longest > shape.window:
        notes.append(f"some layers look back {shape.window:,} tokens only (sliding window), less than the longest row")
    return notes


def _note_machine(recipe: Recipe, hardware: Hardware, shape: Shape) -> list[str]:
    notes = []
    if not shape.exact:
        counted = "parameters were counted in its files" if shape.stored else "its parameters are guessed"
        notes.append(f"{shape.family or 'this'} models are not known here: {counted}, memory and time are rough")
    if recipe.precision == "fp16":
        notes.append("fp16 overflows more easily than bf16, which this GPU lacks: watch for losses that are skipped")
    if recipe.precision == "bf16" and hardware.kind == "cuda" and not hardware.native_bf16:
        notes.append("this GPU has no bf16 of its own; it is emulated, and slow")
    if recipe.strategy != "ddp" and recipe.processes * recipe.nodes == 1:
        notes.append(f"--strategy {recipe.strategy} over one device spreads nothing")
    if recipe.method != "full" and ALL_LINEAR in recipe.targets and any(not each.module for each in shape.linears):
        notes.append("which experts of this model get adapters is for peft to say; the figures count none")
    if recipe.packing and recipe.attention == "sdpa":
        notes.append("packing with sdpa computes attention over whole packs; --packing off is faster there")
    if hardware.kind == "cuda" and not hardware.flops:
        notes.append(f"the peak of {hardware.name} is not known here, so no time is given")
    elif hardware.flops:
        notes.append(f"the time assumes {UTILISATION:.0%} of {hardware.flops / 1e12:,.2f} TFLOP/s a device")
    return notes
