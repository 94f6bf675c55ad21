"""Run the paid half in an event loop: sessions, caps, Ctrl-C, progress. Knows nothing of rows."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raft_cli.chat.connect import connect
from raft_cli.chat.endpoint import Endpoint
from raft_cli.chat.extractive import Extractive
from raft_cli.chat.halting import give_up, stop_on_signals
from raft_cli.chat.journal import Journal
from raft_cli.chat.local import LocalModel
from raft_cli.chat.pace import Pace
from raft_cli.chat.session import Caps, Session, Usage
from raft_cli.config.generate import GenerateConfig
from raft_cli.data import Sampling
from raft_cli.errors import Interrupted, RaftError
from raft_cli.generate.paid import Harvest, Paid, collect
from raft_cli.generate.plan import Task
from raft_cli.prompts import Prompts

Watch = Callable[[Harvest, Usage, Pace], None]


@dataclass(frozen=True, slots=True)
class Taught:
    """How the paid half ended.

    Attributes:
        stopped_by: Why it stopped before the end, or None.
        notes: What the server was found not to support.
    """

    harvest: Harvest
    usage: Usage
    stopped_by: RaftError | None
    notes: tuple[str, ...]
    identity: str


async def teach(
    tasks: Sequence[Task],
    *,
    planned: int,
    config: GenerateConfig,
    prompts: dict[str, Prompts],
    journal: Journal,
    watch: Watch,
    say: Callable[[str], None],
) -> Taught:
    """Have the teacher do `tasks`; return what was settled, whatever stopped it.

    Args:
        watch: Called after each settled question.
        say: Shows a line to the person at the terminal.
    """
    usage = Usage()
    pace = Pace(concurrency=config.concurrency, rpm=config.rpm, tpm=config.tpm, max_outage=config.max_outage)
    models = [_connect(name, flag, config, journal) for name, flag in _name_models(config)]
    sessions = [Session(model, journal=journal, pace=pace, caps=build_caps(config), usage=usage) for model in models]
    paid = Paid(
        chat=sessions[0],
        judge=sessions[1] if len(sessions) > 1 else None,
        prompts=prompts,
        sampling=Sampling(config.temperature, config.max_tokens, extra_body=config.extra_body),
        journal=journal,
        retry_rejected=config.retry_rejected,
        on_change=lambda harvest: watch(harvest, usage, pace),
    )
    work = asyncio.ensure_future(collect(tasks, planned=planned, workers=2 * config.concurrency, paid=paid))
    pace.on_outage = say
    pace.on_halt = lambda reason: give_up(work, reason, answered=pace.ever_answered)
    try:
        with stop_on_signals(pace, work, say):
            harvest = await work
    except asyncio.CancelledError:
        raise pace.stopped_by or Interrupted("at once; every reply that had arrived is kept") from None
    finally:
        for model in models:
            if isinstance(model, Endpoint):
                await model.close()
    notes = tuple(note for model in models if isinstance(model, Endpoint) for note in model.notes)
    return Taught(harvest, usage, pace.stopped_by, notes, models[0].identity)


def _name_models(config: GenerateConfig) -> list[tuple[str, str]]:
    return [(config.teacher, "--teacher")] + ([(config.judge, "--judge")] if config.judge else [])


def _connect(name: str, flag: str, config: GenerateConfig, journal: Journal) -> Endpoint | Extractive | LocalModel:
    return connect(
        name, flag=flag, base_url=config.base_url, env_file=config.env_file, timeout=config.timeout, journal=journal
    )


def build_caps(config: GenerateConfig) -> Caps:
    """Return what the run may spend."""
    prices = None if config.price_in is None or config.price_out is None else (config.price_in, config.price_out)
    return Caps(config.max_requests, config.max_cost, prices)
