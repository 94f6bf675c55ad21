"""An evaluation on one page of Markdown, as the step summary of a CI run. Computes nothing."""

from collections.abc import Iterator, Sequence

from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.reports.words import (
    NOTHING,
    STAR,
    SURE,
    draw_markdown_table,
    escape_markdown,
    explain_condition,
    mark_sure,
    show_count,
    show_difference,
    show_interval,
    show_p,
    show_points,
    show_share,
)
from raft_cli.evaluate.results import BASE, PRIMARY, Examinee, Results, label_models
from raft_cli.evaluate.selfcheck import Failure

GROUNDING = ("grounded_acc", "citation_precision", "fabrication_rate", "quote_rate", "format_rate")


def render_summary(results: Results) -> str:
    """Return the summary: verdict, figures, quotations, contrasts, gates, warnings, self-check."""
    sections = (
        _show_head(results),
        _show_failures(results.failures),
        _show_figures(results),
        _show_grounding(results),
        _show_judge(results),
        _show_contrasts(results),
        _show_gates(results.gates),
        _show_change(results),
        _show_warnings(results.warnings),
        _show_check(results.failures),
    )
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section))) + "\n"


def _show_head(results: Results) -> Iterator[str]:
    yield "# Evaluation"
    yield ""
    yield f"**{escape_markdown(results.verdict)}**"
    yield ""
    yield f"- Data: {escape_markdown(results.data)}, {len(results.items):,} questions"
    for examinee in results.examinees:
        yield f"- {_name_label(examinee)}: {escape_markdown(examinee.name)}, asked {examinee.prompt}"
    if missing := sum(answer.grade is None for answer in results.answers):
        name = "Missing" if results.complete else "**Incomplete**"
        yield f"- {name}: {missing:,} of {len(results.answers):,} answers, scored nowhere"


def _name_label(examinee: Examinee) -> str:
    return "Base" if examinee.label == BASE else "Model"


def _show_failures(failures: Sequence[Failure]) -> Iterator[str]:
    if not failures:
        return
    yield "## The self-check failed: no figure here is to be believed"
    yield ""
    rows = [
        [
            escape_markdown(failure.probe),
            escape_markdown(failure.metric),
            f"{failure.expected:.3f}",
            NOTHING if failure.found is None else f"{failure.found:.3f}",
            f"{failure.answers:,}",
            escape_markdown(failure.example) or NOTHING,
        ]
        for failure in failures
    ]
    yield from draw_markdown_table(("answered", "figure", "expected", "found", "answers", "first question"), rows)


def _show_figures(results: Results) -> Iterator[str]:
    """Show `acc` by condition, the test beside it; the primary condition in bold."""
    labels = label_models(results)
    tests = {test.condition: test for test in results.tests}
    headers = ["condition", *(f"{label}, %" for label in labels)]
    headers += ["Δ, points", "p (Holm)"] if tests else []
    rows = []
    for condition in results.conditions:
        name = escape_markdown(condition)
        row = [f"{f'**{name}**' if condition == results.primary else name}<br>{explain_condition(condition)}"]
        row += [show_interval(results.figures.get((label, condition, PRIMARY)), unit="") for label in labels]
        if tests:
            test = tests.get(condition)
            adjusted = test.adjusted if test else None
            row += [show_difference(test.difference if test else None), show_p(adjusted) + _star(adjusted)]
        rows.append(row)
    yield "## Right answers"
    yield ""
    yield from draw_markdown_table(headers, rows)
    yield ""
    yield "  \n".join(
        [
            "In brackets 95 % intervals, from resampling whole passages",
            "(exact binomial bounds where all or none are right)",
            *map(escape_markdown, explain_tests(results)),
        ]
    )


def _show_judge(results: Results) -> Iterator[str]:
    judged = results.judged
    if judged is None:
        return
    labels = label_models(results)
    rows = [
        [escape_markdown(name), *(show_interval(results.figures.get((label, name, "judged"))) for label in labels)]
        for name in results.conditions
    ]
    yield "## Right by the judge"
    yield ""
    yield from draw_markdown_table(["condition", *labels], rows)
    yield ""
    kappa = NOTHING if judged.kappa is None else f"{judged.kappa:.2f}"
    missing = f", {show_count(judged.failed, 'verdict')} missing" if judged.failed else ""
    yield f"{escape_markdown(judged.name)}; agreement with `acc_lenient`: kappa {kappa}{missing}"


def _star(adjusted: float | None) -> str:
    return f" \\{STAR}" if mark_sure(adjusted) else ""


def explain_tests(results: Results) -> list[str]:
    """Say what a star means, and what difference could have been found; nothing without a base."""
    tested = [test for test in results.tests if test.adjusted is not None]
    if not tested:
        return []
    told = [f"{STAR} p below {SURE:g} by McNemar's test, adjusted for {show_count(len(tested), 'condition')} (Holm)"]
    primary = next((test for test in tested if test.condition == results.primary), None)
    if primary and primary.smallest is not None:
        least = show_points(primary.smallest).lstrip("+")
        told.append(
            f"In 80 % of cases a run like this finds a difference of {least} points or more ({results.primary})"
        )
    return told


def list_documented(results: Results) -> list[str]:
    """Return the conditions in which a model gets documents."""
    return [condition for condition in results.conditions if condition != "closed"]


def _show_grounding(results: Results) -> Iterator[str]:
    conditions = list_documented(results)
    if not conditions:
        return
    rows = []
    for condition in conditions:
        for label in label_models(results):
            figures = [results.figures.get((label, condition, metric)) for metric in GROUNDING]
            shown = [show_interval(figure, unit="") for figure in figures]
            rows.append(
                [escape_markdown(condition), label, *shown, show_share(results.chances.get(condition), unit="")]
            )
    yield "## Quotations and grounding, %"
    yield ""
    headers = ("condition", "model", "grounded", "citation precision", "fabricated", "quote at all", "keep format")
    yield from draw_markdown_table((*headers, "precision by chance"), rows, left=2)


def _show_contrasts(results: Results) -> Iterator[str]:
    if not results.contrasts:
        return
    rows = [
        [escape_markdown(name), escape_markdown(meaning), *shown] for name, meaning, shown in list_contrasts(results)
    ]
    yield "## Between conditions, points"
    yield ""
    yield from draw_markdown_table(("contrast", "is", *label_models(results)), rows, left=2)


def list_contrasts(results: Results) -> list[tuple[str, str, list[str]]]:
    """Return name and meaning of each contrast, and what it is for each model, in words."""
    meanings = {each.name: each.meaning for each in results.contrasts}
    held = {(each.name, each.model): each.difference for each in results.contrasts}
    labels = label_models(results)
    return [
        (name, meaning, [show_difference(held.get((name, label))) for label in labels])
        for name, meaning in meanings.items()
    ]


def _show_gates(gates: Sequence[GateResult]) -> Iterator[str]:
    if not gates:
        return
    rows = [[name_outcome(gate), escape_markdown(gate.expression), escape_markdown(gate.message)] for gate in gates]
    yield "## Gates"
    yield ""
    yield from draw_markdown_table(("outcome", "gate", "because"), rows, left=3)


def name_outcome(gate: GateResult) -> str:
    """Say in a word what came of a gate."""
    if gate.passed:
        return "passed"
    return "FAILED" if gate.blocks else "warns"


def _show_change(results: Results) -> Iterator[str]:
    change = results.change
    if change is None:
        return
    rows = [[escape_markdown(condition), *shown] for condition, shown in list_changes(results)]
    yield "## Since the earlier run, points"
    yield ""
    yield f"{change.shared:,} questions in both, {change.new:,} new, {change.gone:,} gone."
    if rows:
        yield ""
        yield from draw_markdown_table(("condition", "right", "grounded"), rows)


def list_changes(results: Results) -> list[tuple[str, list[str]]]:
    """Return for each condition of both runs how right answers and grounded ones changed, in words."""
    held = results.change.differences if results.change else {}
    return [
        (condition, [show_difference(held.get((condition, metric))) for metric in (PRIMARY, GROUNDING[0])])
        for condition in results.conditions
        if (condition, PRIMARY) in held
    ]


def _show_warnings(warnings: Sequence[str]) -> Iterator[str]:
    if warnings:
        yield "## Notes"
        yield ""
    for warning in warnings:
        yield f"- {escape_markdown(warning)}"


def _show_check(failures: Sequence[Failure]) -> Iterator[str]:
    if not failures:
        yield "Self-check passed: answers with known figures scored what they must."
