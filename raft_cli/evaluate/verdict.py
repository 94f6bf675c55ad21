"""The result in words: ahead, behind, no difference found, or not to be believed. Pure."""

from raft_cli.evaluate.reports.words import show_count, show_p, show_points, show_share
from raft_cli.evaluate.results import BASE, MODEL, PRIMARY, Results, Test

SURE = 0.05


def tell_verdict(results: Results) -> str:
    """Return one or two sentences that an engineer can repeat."""
    if results.failures:
        first = results.failures[0]
        return (
            f"Do not believe these figures: the self-check failed ({first.probe}: {first.metric} should be "
            f"{first.expected:g}, first at question {first.example})."
        )
    test = next((each for each in results.tests if each.condition == results.primary), None)
    figure = results.figures[MODEL, results.primary, PRIMARY]
    if figure.value is None:
        return f"Nothing is known: at {results.primary} no answer counts."
    if test is None:
        said = (
            f"The model answers {show_share(figure.value)} of {show_count(figure.n, 'question')} at {results.primary}."
        )
        return said + _tell_reason(results)
    return f"{_tell_test(results, test)}{_tell_reason(results)}"


def _tell_test(results: Results, test: Test) -> str:
    difference = test.difference
    if difference.value is None:
        return f"No comparison: at {results.primary} the two models have no answered question in common."
    model, base = _share_right(results)
    shares = f"the model answers {show_share(model)}, the base {show_share(base)}"
    scores = f"at {results.primary} {shares} of {show_count(difference.n, 'question')}"
    span = f"{show_points(difference.value)} points"
    if difference.low is not None and difference.high is not None:
        span += f", 95 % interval {show_points(difference.low)} to {show_points(difference.high)}"
    sure = test.adjusted is not None and test.adjusted < SURE
    apart = difference.low is not None and difference.high is not None and (difference.low > 0 or difference.high < 0)
    word = "ahead of" if difference.value > 0 else "behind"
    if sure and apart:
        return f"The model is {word} its base: {scores} ({span})."
    if apart:
        adjusted = f"p is {show_p(test.adjusted)} when adjusted for the number of conditions"
        return f"The model may be {word} its base, but chance is not ruled out: {scores} ({span}; {adjusted})."
    least = f" A run like this one finds differences from {100 * test.smallest:.0f} points on." if test.smallest else ""
    found = "No difference was found" if least or test.better == test.worse == 0 else "Too few questions to tell"
    return f"{found}: {scores} ({span}).{least}"


def _share_right(results: Results) -> tuple[float, float]:
    """Return the shares of right answers of model and base, over the questions that both answered."""
    held: dict[str, dict[str, float]] = {MODEL: {}, BASE: {}}
    for answer in results.answers:
        if answer.grade is not None and answer.case.condition == results.primary:
            held[answer.model][answer.item.id] = answer.grade.acc
    both = held[MODEL].keys() & held[BASE].keys()
    model, base = (sum(each[name] for name in both) / len(both) for each in (held[MODEL], held[BASE]))
    return model, base


def _tell_reason(results: Results) -> str:
    """Return what of the right answers rests on the oracle's words."""
    grounded = results.figures.get((MODEL, results.primary, "grounded_acc"))
    if grounded is None or grounded.value is None:
        return ""
    return f" {show_share(grounded.value)} are right with a quotation of the oracle and nothing misquoted."
