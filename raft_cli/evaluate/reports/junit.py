"""Gates, self-check and completeness as JUnit XML, for servers that show tests. Computes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.reports.words import NOTHING, clean_text, show_count
from raft_cli.evaluate.results import Results
from raft_cli.evaluate.selfcheck import Failure

_SUITE = "raft eval"


@dataclass(frozen=True, slots=True)
class _Case:
    group: str
    name: str
    outcome: Literal["passed", "failure", "skipped"]
    message: str = ""
    details: tuple[str, ...] = ()


def render_junit(results: Results) -> str:
    """Return a test suite with a test for the self-check, for completeness and for each gate.

    A gate that only warns counts as skipped when it is not passed: servers show the message of a skipped test and do
    not fail for it, whereas what a passed test prints is seen by nobody.
    """
    from xml.etree import ElementTree

    cases = list(_list_cases(results))
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.outcome == "failure" for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.outcome == "skipped" for case in cases)),
        "time": f"{sum(results.seconds.values()):.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": _SUITE, **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _SUITE, **counts})
    for case in cases:
        element = ElementTree.SubElement(
            suite, "testcase", {"classname": f"raft.eval.{case.group}", "name": clean_text(case.name), "time": "0"}
        )
        if case.outcome == "passed":
            continue
        told = ElementTree.SubElement(element, case.outcome, {"message": clean_text(case.message)})
        told.text = "\n".join(map(clean_text, case.details)) or None
    ElementTree.indent(root)
    return "<?xml version='1.0' encoding='utf-8'?>\n" + ElementTree.tostring(root, encoding="unicode") + "\n"


def _list_cases(results: Results) -> Iterator[_Case]:
    if results.failures:
        message = f"{show_count(len(results.failures), 'known figure')} came out wrong: nothing here is to be believed"
        details = tuple(map(_describe_failure, results.failures))
        yield _Case("run", "self-check", "failure", message, details)
    else:
        yield _Case("run", "self-check", "passed")
    missing = sum(answer.grade is None for answer in results.answers)
    told = f"{missing:,} of {len(results.answers):,} answers are missing"
    yield _Case("run", "completeness", "passed" if results.complete else "failure", told)
    for gate in results.gates:
        yield _Case("gates", gate.expression, _judge(gate), gate.message)


def _judge(gate: GateResult) -> Literal["passed", "failure", "skipped"]:
    if gate.passed:
        return "passed"
    return "failure" if gate.blocks else "skipped"


def _describe_failure(failure: Failure) -> str:
    found = NOTHING if failure.found is None else f"{failure.found:.3f}"
    return (
        f"{failure.probe}: {failure.metric} is {found}, expected {failure.expected:.3f} over {failure.answers:,} "
        f"answers; first at question {failure.example or NOTHING}"
    )
