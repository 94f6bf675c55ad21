"""A plan as labels and values, for people. Prints nothing."""

from raft_cli.train.planning.memory import list_parts
from raft_cli.train.planning.plan import Plan, count_checkpoints, measure_disk
from raft_cli.train.records import Recipe
from raft_cli.train.units import Figures, show_bytes, show_seconds


def plan_figures(plan: Plan, recipe: Recipe) -> Figures:
    """Return the titled groups that a dry run shows."""
    return [
        ("Rows", _describe_rows(plan)),
        ("Steps", _describe_steps(plan, recipe)),
        ("Memory on one device", _describe_memory(plan)),
        ("Disk", _describe_disk(plan, recipe)),
        ("Time", [("Training", describe_time(plan.seconds)), ("Speed", _describe_speed(plan, recipe))]),
    ]


def _describe_rows(plan: Plan) -> list[tuple[str, str]]:
    median, most, nearly, longest = plan.lengths
    lines = [
        ("To train on", f"{plan.rows:,}, {plan.tokens:,} tokens"),
        ("To evaluate on", f"{plan.validation_rows:,}"),
        (
            "Tokens a row",
            f"{median:,} median, {most:,} p95, {nearly:,} p99, {longest:,} longest; {plan.limit:,} allowed",
        ),
        ("With loss", f"{plan.supervised:,} tokens ({plan.supervised / plan.tokens:.1%})"),
        ("Oracle present", f"{plan.oracle_share:.1%} of rows, {plan.documents:.1f} documents a row"),
        ("Lose distractors", f"{plan.shortened:,}"),
    ]
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in plan.overflow.items())
    return [*lines, ("Set aside", f"{sum(plan.overflow.values()):,}" + (f" ({reasons})" if reasons else ""))]


def _describe_steps(plan: Plan, recipe: Recipe) -> list[tuple[str, str]]:
    adapters = "" if recipe.method == "full" else f", rank {recipe.rank}, alpha {recipe.alpha}"
    trained = f"{describe_count(plan.trained)} trained of {describe_count(plan.parameters)}"
    batch = f"{plan.step_rows:.1f} rows: {recipe.accumulation:,} micro-batches"
    if recipe.processes * recipe.nodes > 1:
        batch += f" on each of {recipe.processes * recipe.nodes:,} devices ({recipe.strategy})"
    fill = f"packed, {plan.fill:.0%} full" if recipe.packing else f"padded, {plan.fill:.0%} of it rows"
    evaluations = f"every {recipe.eval_every:,} steps" if recipe.eval_every else "none: no validation rows"
    return [
        ("Method", f"{recipe.method}{adapters}; {trained} parameters"),
        ("Steps", f"{plan.steps:,} ({recipe.epochs:.3g} epochs of {plan.steps_per_epoch:,})"),
        ("Step", f"{batch} of up to {recipe.micro_tokens:,} tokens ({fill})"),
        ("Learning rate", f"{recipe.learning_rate:g}, {recipe.schedule}, {recipe.optimizer}"),
        ("Arithmetic", f"{recipe.precision}, attention {recipe.attention}"),
        ("Checkpointing", "on (activations are computed twice)" if recipe.checkpointing else "off"),
        ("Evaluation", evaluations),
    ]


def _describe_memory(plan: Plan) -> list[tuple[str, str]]:
    verdict = "fits" if plan.fits else "does not fit"
    return [
        ("Device", plan.device),
        *((label, show_bytes(size)) for label, size in list_parts(plan.memory)),
        ("Together", f"about {show_bytes(plan.memory.total)} of {show_bytes(plan.available)} free: {verdict}"),
    ]


def _describe_disk(plan: Plan, recipe: Recipe) -> list[tuple[str, str]]:
    count = count_checkpoints(recipe)
    return [
        ("A checkpoint", f"about {show_bytes(plan.checkpoint)}"),
        (
            "Checkpoints",
            f"about {show_bytes(measure_disk(plan, recipe))}: {count:,} at once, one of them being written",
        ),
    ]


def _describe_speed(plan: Plan, recipe: Recipe) -> str:
    if not plan.seconds:
        return "unknown"
    return f"about {plan.tokens * recipe.epochs / plan.seconds:,.0f} tokens a second on all devices"


def describe_count(number: int) -> str:
    """Return a number of parameters for people."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def describe_time(seconds: float | None) -> str:
    """Return an estimated duration for people."""
    if seconds is None:
        return "unknown: the speed of this device is not known here"
    return f"about {show_seconds(max(1, round(seconds)))}"
