"""The dataset's report: one HTML page of what is in it, what was set aside and rows to read.

Sees every example once and renders only those to read; writes no file.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raft_cli.data import Chunk, Example, Reject, Role
from raft_cli.generate.reading import Reading, show_row

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_SOURCES = 30
_BINS = 24
_DETAIL = 400
_LANGUAGES = {"en": "English", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "other": "other language"}
_RECORD = re.compile(r"#\d+$")

Figures = Sequence[tuple[str, Sequence[tuple[str, str]]]]


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a list of counts; `width` in per cent of the longest, 0 for the sum of what is not listed."""

    label: str
    count: int
    share: float
    width: float


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart; `x`, `width`, `height` and `expected` in per cent of the chart."""

    label: str
    count: int
    x: float
    width: float
    height: float
    expected: float = 0.0


@dataclass(frozen=True, slots=True)
class SplitFigures:
    """One split, with the columns of its oracle positions."""

    name: str
    rows: int
    share: float
    present: int
    positions: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Row lengths in tokens; `median_x` and `p95_x` are places on the chart in per cent."""

    median: int
    p95: int
    longest: int
    median_x: float
    p95_x: float
    width: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class RejectGroup:
    """Rejects of one stage and reason, with one of them as the example."""

    stage: str
    reason: str
    count: int
    width: float
    example: Reject
    detail: str


@dataclass(slots=True)
class _Tally:
    """What one pass over the examples leaves behind; its size does not grow with their number."""

    rows: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)
    documents: Counter[int] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    reading: Reading = field(default_factory=Reading)
    positions: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    shapes: dict[str, Counter[tuple[int, int]]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, split: str, example: Example, oracle: Chunk) -> None:
        documents = len(example.documents)
        self.rows[split] += 1
        self.sources[_RECORD.sub("", oracle.source)] += 1
        self.kinds[example.question.kind] += 1
        self.languages[oracle.language] += 1
        self.roles.update(role for role in example.roles if role != Role.ORACLE)
        self.documents[documents] += 1
        self.lengths[estimate_length(example)] += 1
        if example.oracle:
            self.present[split] += 1
            self.positions[split].update(example.oracle)
            self.shapes[split][documents, len(example.oracle)] += 1
        self.reading.add(
            (split, example.question.kind, oracle.language, "present" if example.oracle else "absent"), example
        )


def render_report(
    *,
    name: str,
    splits: Mapping[str, Sequence[Example]],
    rejects: Sequence[Reject],
    figures: Figures,
    oracle_chunks: Mapping[str, Chunk],
) -> str:
    """Return the report as one self-contained HTML page.

    `figures` (title, then label and value) are shown as they are; `oracle_chunks` gives the first oracle chunk of a
    question by its id, for rows that lack it among their documents.
    """
    import jinja2

    tally = _Tally()
    for split, examples in splits.items():
        for example in examples:
            tally.add(split, example, _find_oracle(example, oracle_chunks))
    chosen = sorted(tally.reading.choose(), key=lambda pick: (list(splits).index(pick[0]), not pick[1].oracle))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = "{:,}".format
    environment.filters["percent"] = format_percent
    environment.filters["language"] = name_language
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        name=name,
        total=tally.rows.total(),
        present=tally.present.total(),
        splits=[_split_figures(split, tally) for split in splits],
        documents=sorted(tally.documents),
        documents_mean=_mean(tally.documents),
        source_count=len(tally.sources),
        sources=_bars(tally.sources, _SOURCES),
        kinds=_bars(tally.kinds),
        languages=_bars(Counter({name_language(code): count for code, count in tally.languages.items()})),
        roles=_bars(tally.roles),
        lengths=_lengths(tally.lengths) if tally.lengths else None,
        rejected=len(rejects),
        rejects=_reject_groups(rejects),
        figures=figures,
        rows=[show_row(split, example, _find_oracle(example, oracle_chunks)) for split, example in chosen],
    )


def estimate_length(example: Example) -> int:
    """Return the tokens of a row: its chunks as counted, question and target by a rule of thumb."""
    written = example.question.text + example.target
    narrow = sum(map(str.isascii, written)) if not written.isascii() else len(written)
    return sum(chunk.tokens for chunk in example.documents) + round(narrow / 4 + (len(written) - narrow) * 0.8)


def format_percent(share: float) -> str:
    """Write a share (0 to 1), never rounding something to nothing or to all."""
    if 0 < share < 0.001:
        return "<\u00a00.1\u00a0%"
    if 0.999 < share < 1:
        return ">\u00a099.9\u00a0%"
    return f"{100 * share:.1f}".removesuffix(".0") + "\u00a0%"


def name_language(code: str) -> str:
    """Return the English name of a language of chunks."""
    return _LANGUAGES.get(code, code)


def _find_oracle(example: Example, oracle_chunks: Mapping[str, Chunk]) -> Chunk:
    return example.documents[example.oracle[0]] if example.oracle else oracle_chunks[example.question.id]


def _mean(counts: Counter[int]) -> float:
    return sum(value * count for value, count in counts.items()) / max(1, counts.total())


def _bars(counts: Counter[str], most: int | None = None) -> list[Bar]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown, rest = ranked[:most], ranked[most:] if most else []
    longest = max((count for _, count in shown), default=1)
    bars = [Bar(label, count, count / counts.total(), 100 * count / longest) for label, count in shown]
    if rest:
        left = sum(count for _, count in rest)
        bars.append(Bar(f"{len(rest):,} more", left, left / counts.total(), 0))
    return bars


def _split_figures(split: str, tally: _Tally) -> SplitFigures:
    """Set the positions beside what a level spread over the documents of each row would give."""
    rows, counts = tally.rows[split], tally.positions[split]
    shapes = tally.shapes[split]
    most = max((documents for documents, _ in shapes), default=0)
    expected = [
        sum(count * oracles / documents for (documents, oracles), count in shapes.items() if documents > place)
        for place in range(most)
    ]
    top = max([*counts.values(), *expected], default=1) * 1.12
    columns = tuple(
        Column(
            str(place + 1), counts[place], 100 * place / most, 100 / most, 100 * counts[place] / top, 100 * due / top
        )
        for place, due in enumerate(expected)
    )
    return SplitFigures(split, rows, rows / max(1, tally.rows.total()), tally.present[split], columns)


def _quantile(counts: Counter[int], share: float) -> int:
    wanted, seen = math.ceil(share * counts.total()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return 0


def _bin_width(reach: int) -> int:
    """Return the least of 1, 2, 5, 10, 20, 50 … that covers `reach` in few enough bins."""
    width = 1
    while reach / width > _BINS - 1:
        width = width * 5 // 2 if str(width).startswith("2") else width * 2
    return width


def _lengths(counts: Counter[int]) -> Lengths:
    width = _bin_width(max(counts) - min(counts))
    first, last = min(counts) // width, max(counts) // width
    bins: Counter[int] = Counter()
    for value, count in counts.items():
        bins[value // width] += count
    number, top = last - first + 1, max(bins.values()) * 1.05
    columns = tuple(
        Column(
            f"{each * width:,} to {each * width + width - 1:,}" if width > 1 else f"{each:,}",
            bins[each],
            100 * (each - first) / number,
            100 / number,
            100 * bins[each] / top,
        )
        for each in range(first, last + 1)
    )
    median, p95 = _quantile(counts, 0.5), _quantile(counts, 0.95)
    places = [100 * (value / width - first) / number for value in (median, p95)]
    return Lengths(median, p95, max(counts), places[0], places[1], width, columns)


def _reject_groups(rejects: Sequence[Reject]) -> list[RejectGroup]:
    """Group rejects, the stages in the order in which they first occur and the largest reasons first."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], Reject] = {}
    for reject in rejects:
        key = reject.stage, reject.reason
        counts[key] += 1
        if key not in examples or (reject.detail and not examples[key].detail):
            examples[key] = reject
    stages = list(dict.fromkeys(stage for stage, _ in counts))
    longest = max(counts.values(), default=1)
    return [
        RejectGroup(*key, counts[key], 100 * counts[key] / longest, examples[key], _shorten(examples[key].detail))
        for key in sorted(counts, key=lambda key: (stages.index(key[0]), -counts[key], key[1]))
    ]


def _shorten(text: str) -> str:
    return text if len(text) <= _DETAIL else text[:_DETAIL].rstrip() + " …"
