"""The figures of a run as labelled text, for terminal, card and report. Pure."""

from collections.abc import Sequence

from raft_cli.chat.session import Usage
from raft_cli.config.generate import GenerateConfig
from raft_cli.generate.outcome import Outcome

Figures = list[tuple[str, list[tuple[str, str]]]]


def build_figures(outcome: Outcome, config: GenerateConfig) -> Figures:
    """Return groups of (title, lines of label and value)."""
    share = outcome.oracle_rows / outcome.total_rows
    low, high = config.distractor_range
    distractors = f"{low}" if low == high else f"{low} to {high}"
    replies, asked, said = outcome.totals
    return [
        (
            "Corpus",
            [
                ("Files", f"{outcome.files:,}" + (f" ({len(outcome.unread)} set aside)" if outcome.unread else "")),
                ("Documents", f"{outcome.documents:,}"),
                ("Chunks", f"{outcome.chunks:,} of at most {config.chunk_size} tokens ({outcome.counter})"),
            ],
        ),
        (
            "Questions",
            [
                ("Asked for", f"{outcome.planned:,}"),
                ("Kept", f"{outcome.questions:,}"),
                ("Rejected or repeated", f"{outcome.planned - outcome.questions - outcome.pending:,}"),
                *([("Pending", f"{outcome.pending:,}")] if outcome.pending else []),
                ("Quotes mended", f"{outcome.repaired:,}"),
            ],
        ),
        (
            "Rows",
            [
                *((name.capitalize(), f"{count:,}") for name, count in outcome.rows.items()),
                ("With oracle", f"{outcome.oracle_rows:,} ({share:.0%})"),
                ("Distractors per row", f"{distractors}, {config.distractor_source}"),
                ("Passages barred for holding the answer", f"{outcome.guarded:,}"),
            ],
        ),
        (
            "Teacher",
            [
                ("Model", outcome.teacher),
                ("Requests in this run", _describe_requests(outcome.used)),
                ("Replies in the folder", f"{replies:,}"),
                ("Tokens", f"{asked:,} in, {said:,} out"),
                ("Cost", f"${outcome.cost:,.4f}" if outcome.cost is not None else "no prices given"),
                ("Time", show_seconds(outcome.seconds)),
            ],
        ),
    ]


def _describe_requests(used: Usage) -> str:
    failed = used.requests - used.replies
    return f"{used.requests:,} ({used.replayed:,} replies reused{f', {failed:,} failed' if failed else ''})"


def flatten(figures: Figures) -> Sequence[tuple[str, str]]:
    """Return all lines as one table."""
    return [line for _, lines in figures for line in lines]


def show_seconds(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min" if seconds >= 3600 else f"{seconds / 60:.1f} min"
