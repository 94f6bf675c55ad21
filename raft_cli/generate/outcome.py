"""What a run came to, for the terminal, the manifest, the card and the report. Pure."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from raft_cli import __version__
from raft_cli.chat.connect import EXTRACTIVE
from raft_cli.chat.session import Usage
from raft_cli.config.generate import GenerateConfig
from raft_cli.corpus.tokens import TokenCounter
from raft_cli.data import Reject
from raft_cli.generate.assemble import Assembly, count_reasons
from raft_cli.generate.intake import Intake
from raft_cli.generate.teach import Taught, build_caps

_LIBRARIES = ("openai", "aiohttp", "tiktoken", "semantic-text-splitter", "rapidfuzz", "pypdfium2", "selectolax")
_FEW_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        rejects: By reason, over all stages.
        unread: Path and reason of each file that was set aside.
        used: What this run used.
        totals: Replies, prompt tokens and completion tokens over all runs of the folder.
        cost: Dollars over all runs of the folder, None without prices.
        stages: Seconds of each stage of this run.
    """

    out: Path
    teacher: str
    files: int
    documents: int
    chunks: int
    chunk_tokens: int
    counter: str
    planned: int
    pending: int
    questions: int
    rows: dict[str, int]
    oracle_rows: int
    rejects: dict[str, int]
    unread: tuple[tuple[str, str], ...]
    repaired: int
    guarded: int
    used: Usage
    totals: tuple[int, int, int]
    cost: float | None
    stages: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Wall time of the run."""
        return sum(self.stages.values())

    @property
    def total_rows(self) -> int:
        """Rows over all splits."""
        return sum(self.rows.values())


def sum_up(
    out: Path,
    config: GenerateConfig,
    intake: Intake,
    taught: Taught,
    assembly: Assembly,
    *,
    unplanned: Sequence[Reject],
    counter: TokenCounter,
    totals: tuple[int, int, int],
    stages: dict[str, float],
) -> Outcome:
    """Put together what is known at the end of a run.

    Args:
        unplanned: Own questions that found no chunk.
    """
    harvest = taught.harvest
    rejects = [*intake.rejects, *unplanned, *harvest.rejects, *assembly.rejects]
    caps = build_caps(config)
    rows = {name: len(examples) for name, examples in assembly.splits.items()}
    return Outcome(
        out=out,
        teacher=taught.identity,
        files=intake.files,
        documents=intake.documents,
        chunks=len(intake.chunks),
        chunk_tokens=intake.tokens,
        counter=counter.name,
        planned=harvest.planned + len(unplanned),
        pending=harvest.pending,
        questions=len(assembly.questions),
        rows=rows,
        oracle_rows=sum(bool(example.oracle) for examples in assembly.splits.values() for example in examples),
        rejects=count_reasons(rejects),
        unread=tuple((reject.source, reject.reason) for reject in intake.rejects if reject.stage == "read"),
        repaired=sum(answer.repaired for answer in harvest.answers.values()),
        guarded=assembly.guarded.answer + assembly.guarded.similar,
        used=taught.usage,
        totals=totals,
        cost=caps.price(totals[1], totals[2]) if caps.prices else None,
        stages=stages,
        warnings=tuple(_find_warnings(config, intake, taught, assembly, rows, counter)),
    )


def _find_warnings(
    config: GenerateConfig,
    intake: Intake,
    taught: Taught,
    assembly: Assembly,
    rows: Mapping[str, int],
    counter: TokenCounter,
) -> list[str]:
    warnings = []
    if config.teacher == EXTRACTIVE:
        warnings.append(
            "the embedded teacher only blanks out facts of single sentences; a real teacher writes far better questions"
        )
        if any(chunk.language not in ("en", "zh") for chunk in intake.chunks):
            warnings.append("the embedded teacher writes English and Chinese only; other passages got no questions")
    if not counter.exact:
        warnings.append(f"tokens are estimated ({counter.name}), about a tenth off; --tokenizer PATH counts exactly")
    if intake.long_cuts:
        warnings.append(f"{intake.long_cuts} chunks that came already cut exceed --chunk-size and were kept whole")
    if assembly.short_hard:
        warnings.append(f"{assembly.short_hard} rows have random distractors where search found too few hard ones")
    for name, share in (("test", config.test_share), ("validation", config.validation_share)):
        wanted = round(share * sum(rows.values()))
        if abs(rows[name] - wanted) > max(1, 0.2 * wanted):
            warnings.append(
                f"the {name} split has {rows[name]} rows instead of {wanted}: related questions stay together"
            )
    if sum(rows.values()) < _FEW_ROWS and config.teacher != EXTRACTIVE and config.limit is None:
        warnings.append(f"{sum(rows.values())} rows are few to tune on; others report gains from some thousands")
    if taught.usage.estimated and config.teacher != EXTRACTIVE:
        warnings.append(f"the server sent no token counts for {taught.usage.estimated} replies; these are estimates")
    return [*warnings, *(f"the server: {note}" for note in taught.notes)]


def build_manifest(
    outcome: Outcome,
    *,
    corpus: Sequence[str],
    settings: Mapping[str, object],
    prompts: Mapping[str, Mapping[str, str]],
    digests: Mapping[str, str],
) -> dict[str, object]:
    """Return the manifest: settings, versions, counts, rejects, what was spent; no secret among them."""
    replies, asked, said = outcome.totals
    return {
        "format": 1,
        "raft": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "complete": outcome.pending == 0,
        "corpus": list(corpus),
        "settings": dict(settings),
        "teacher": outcome.teacher,
        "tokenizer": outcome.counter,
        "prompts": {language: dict(names) for language, names in prompts.items()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "counts": {
            "files": outcome.files,
            "documents": outcome.documents,
            "chunks": outcome.chunks,
            "chunk_tokens": outcome.chunk_tokens,
            "planned": outcome.planned,
            "questions": outcome.questions,
            "pending": outcome.pending,
            "rejected": sum(outcome.rejects.values()),
            "rejected_questions": outcome.planned - outcome.questions - outcome.pending,
            "repaired_quotes": outcome.repaired,
            "rows": outcome.rows,
            "rows_with_oracle": outcome.oracle_rows,
            "distractors_barred": outcome.guarded,
        },
        "rejects": outcome.rejects,
        "usage": {
            "run": {
                "requests": outcome.used.requests,
                "replayed": outcome.used.replayed,
                "prompt_tokens": outcome.used.prompt_tokens,
                "completion_tokens": outcome.used.completion_tokens,
                "cost": outcome.used.cost,
            },
            "folder": {"replies": replies, "prompt_tokens": asked, "completion_tokens": said, "cost": outcome.cost},
        },
        "seconds": round(outcome.seconds, 3),
        "stages": {name: round(spent, 3) for name, spent in outcome.stages.items()},
        "warnings": list(outcome.warnings),
        "files": dict(digests),
    }
