"""What `raft eval` prints: figures, tests, quotations, telling examples, gates, and where the report lies."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import typer

from raft_cli.cli.summary import show_group, show_note, wrap
from raft_cli.cli.tables import show_table
from raft_cli.evaluate.folder import EXAMPLES, PAGE, RESULTS, SUMMARY
from raft_cli.evaluate.reports.record import build_record, pack_record
from raft_cli.evaluate.reports.summary import (
    GROUNDING,
    explain_tests,
    list_changes,
    list_contrasts,
    list_documented,
    name_outcome,
)
from raft_cli.evaluate.reports.telling import Telling, pick_telling
from raft_cli.evaluate.reports.words import (
    NOTHING,
    clean_text,
    mark_sure,
    shorten,
    show_count,
    show_difference,
    show_interval,
    show_p,
    show_share,
)
from raft_cli.evaluate.results import BASE, MODEL, PRIMARY, Answer, Results, label_models
from raft_cli.store import dumps

_EXAMPLES, _FAILURES = 5, 10
_QUESTION, _ANSWER = 160, 100  # characters of them that are shown


def show_results(results: Results, out: Path, *, as_json: bool) -> None:
    """Print what came of an evaluation, and what to do next."""
    if as_json:
        typer.echo(dumps(pack_record(build_record(results)), orjson.OPT_INDENT_2).decode())
        return
    _show_failures(results)
    _show_head(results)
    _show_figures(results)
    _show_grounding(results)
    _show_judge(results)
    _show_robustness(results)
    _show_examples(results)
    _show_gates(results)
    _show_change(results)
    for warning in results.warnings:
        show_note(clean_text(warning))
    typer.echo("\n" + typer.style(wrap(clean_text(results.verdict)), bold=True))
    typer.echo(f"  look at it    {out / PAGE}")
    typer.echo(f"  all figures   {out / RESULTS}")
    typer.echo(f"  all answers   {out / EXAMPLES}")
    typer.echo(f"  for a CI run  {out / SUMMARY}")
    typer.echo(f"  next          raft compare {out} OTHER-REPORT")


def _show_failures(results: Results) -> None:
    if not results.failures:
        return
    typer.echo(typer.style("The self-check failed: no figure below is to be believed", fg=typer.colors.RED, bold=True))
    for failure in results.failures[:_FAILURES]:
        found = NOTHING if failure.found is None else f"{failure.found:.3f}"
        told = (
            f"{failure.metric} is {found}, must be {failure.expected:.3f} over {show_count(failure.answers, 'answer')}"
        )
        at = f"; first at question {clean_text(failure.example)}" if failure.example else ""
        typer.echo(typer.style(f"  {failure.probe}: ", fg=typer.colors.RED) + told + at)
    if (more := len(results.failures) - _FAILURES) > 0:
        typer.echo(f"  and {show_count(more, 'more figure')}, all of them in {SUMMARY}")


def _show_head(results: Results) -> None:
    passages = len({item.oracle_ids[0] for item in results.items})
    asked = f"{len(results.items):,}, about {show_count(passages, 'passage')}"
    lines = [("Data", clean_text(results.data)), ("Questions", asked)]
    for examinee in results.examinees:
        label = "Base" if examinee.label == BASE else "Model"
        lines.append((label, f"{clean_text(examinee.name)}, asked {examinee.prompt}"))
    missing = sum(answer.grade is None for answer in results.answers)
    if missing:
        share = show_share(missing / len(results.answers))
        lines.append(("Missing", f"{missing:,} of {len(results.answers):,} answers ({share}), scored nowhere"))
    show_group("Evaluation" if results.complete else "Evaluation (incomplete)", lines)


def _show_figures(results: Results) -> None:
    """Print `acc` by condition, the model beside the base."""
    labels = label_models(results)
    tests = {test.condition: test for test in results.tests}
    rows = []
    for condition in results.conditions:
        row = [
            condition,
            *(show_interval(results.figures.get((label, condition, PRIMARY)), unit="") for label in labels),
        ]
        if tests:
            test = tests.get(condition)
            adjusted = test.adjusted if test else None
            row += [show_difference(test.difference if test else None), show_p(adjusted) + mark_sure(adjusted)]
        rows.append(row)
    compared = ["Δ, points", "p (Holm)"] if tests else []
    sides = "l" + "r" * len(labels) + ("rl" if tests else "")
    show_table(f"Right answers, % (primary: {results.primary})", sides, ["condition", *labels, *compared], rows)
    typer.echo("  [ ] 95 % intervals, from resampling whole passages")
    typer.echo("      (exact binomial bounds where all or none are right)")
    for line in explain_tests(results):
        typer.echo(f"  {line}")


def _show_grounding(results: Results) -> None:
    rows = [
        [
            condition,
            label,
            *(show_interval(results.figures.get((label, condition, metric)), unit="") for metric in GROUNDING[:2]),
            show_share(results.chances.get(condition), unit=""),
            *(_show_value(results, label, condition, metric) for metric in GROUNDING[2:]),
        ]
        for condition in list_documented(results)
        for label in label_models(results)
    ]
    if rows:
        headers = ("condition", "model", "grounded", "citations", "chance", "made up", "quote", "format")
        show_table("Quotations and grounding, %", "llrrrrrr", headers, rows)
        typer.echo("  grounded: right, on an oracle's word, nothing misquoted")
        typer.echo("  citations: quotations from an oracle; chance: of a quotation from anywhere")
        typer.echo("  made up: quotations no document has; quote, format: answers that do, keep it")


def _show_judge(results: Results) -> None:
    if results.judged is None:
        return
    labels = label_models(results)
    rows = [
        [name, *(show_interval(results.figures.get((label, name, "judged")), unit="") for label in labels)]
        for name in results.conditions
    ]
    show_table("Right by the judge, %", "l" + "r" * len(labels), ["condition", *labels], rows)


def _show_value(results: Results, label: str, condition: str, metric: str) -> str:
    figure = results.figures.get((label, condition, metric))
    return show_share(figure.value if figure else None, unit="")


def _show_robustness(results: Results) -> None:
    labels = label_models(results)
    contrasts = [[name, *shown, meaning] for name, meaning, shown in list_contrasts(results)]
    if contrasts:
        sides, headers = "l" + "r" * len(labels) + "l", ("contrast", *labels, "is")
        show_table("When the documents change, points", sides, headers, contrasts, spare=True)
    lines = list(_list_other(results))
    if lines:
        show_group("Steadiness, retrieval, refusal", lines)


def _list_other(results: Results) -> Iterator[tuple[str, str]]:
    for each in results.steadiness:
        told = f"same verdict at all for {show_share(each.consistent)} of {each.n:,}"
        yield f"Places, {each.model}", f"{told}; Cochran's p {show_p(each.p)}"
    for found in results.retrievals:
        yield found.condition, f"oracle found for {show_interval(found.hit)}"
        for model, (hit, miss) in found.right.items():
            right = f"{show_share(hit.value)} right where it was found, {show_share(miss.value)} where not"
            yield f"{found.condition}, {model}", right
    for model, value in results.grounded_refusal.items():
        yield f"Refusal, {model}", f"{show_share(value)} (F1 of declining without an oracle only)"
    if judged := results.judged:
        yield "Judge", clean_text(judged.name)
        missing = f"; {show_count(judged.failed, 'verdict')} missing" if judged.failed else ""
        yield "Judge and acc", f"kappa {_show_kappa(judged.kappa)}{missing}"
        if judged.human:
            kappa, labels = judged.human
            yield "Judge and people", f"kappa {_show_kappa(kappa)} on {show_count(labels, 'label')}"


def _show_kappa(kappa: float | None) -> str:
    return NOTHING if kappa is None else f"{kappa:.2f}"


def _show_examples(results: Results) -> None:
    tellings = pick_telling(results, _EXAMPLES)
    if tellings:
        typer.echo(typer.style(f"Telling answers ({results.primary})", bold=True))
    for telling in tellings:
        typer.echo(f"  {_name_kind(telling)}: {shorten(telling.item.question, _QUESTION)}")
        lines = [("gold", shorten(" / ".join(telling.model.case.golds), _ANSWER))]
        lines += [(label, _say(answer)) for label, answer in ((MODEL, telling.model), (BASE, telling.base)) if answer]
        for label, said in lines:
            typer.echo(f"    {label:<5}  {said}")


def _name_kind(telling: Telling) -> str:
    return {MODEL: "only the model is right", BASE: "only the base is right"}.get(telling.right, "the model is wrong")


def _say(answer: Answer) -> str:
    """Return the short answer of a graded one, cut to size, with what is the matter with it."""
    grade = answer.grade
    if grade is None or not grade.lenient.strip():
        return NOTHING
    faults = {
        "no answer tag": grade.extracted is None,
        "declined": grade.refused,
        "stands in a distractor": grade.misled,
        "cut off": answer.response.finish == "length",
    }
    told = ", ".join(name for name, found in faults.items() if found)
    return shorten(grade.lenient, _ANSWER) + (f"  ({told})" if told else "")


def _show_gates(results: Results) -> None:
    if results.gates:
        typer.echo(typer.style("Gates", bold=True))
    colours = {"passed": typer.colors.GREEN, "warns": typer.colors.YELLOW}
    for gate in results.gates:
        outcome = name_outcome(gate)
        shown = typer.style(f"{outcome:<6}", fg=colours.get(outcome, typer.colors.RED))
        typer.echo(f"  {shown}  {clean_text(gate.expression)}  ({clean_text(gate.message)})")


def _show_change(results: Results) -> None:
    change = results.change
    if change is None:
        return
    told = f"{show_count(change.shared, 'question')} in both, {change.new:,} new, {change.gone:,} gone"
    rows = [[condition, *shown] for condition, shown in list_changes(results)]
    show_table(f"Since the earlier run, points ({told})", "lrr", ("condition", "right", "grounded"), rows)
