"""A finished evaluation made by hand: real questions, cases, grades and figures, of two models that only tests know."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from exams import TOPICS, make_corpus, make_item, word
from fakes import BEGIN, END, make_chunk

from raft_cli.data import Chunk, Quote
from raft_cli.evaluate.cases import CaseSet, build_cases, search_lexically
from raft_cli.evaluate.conditions import parse_conditions
from raft_cli.evaluate.earlier import Stored, compare_to
from raft_cli.evaluate.figures import (
    Table,
    compare_models,
    compare_primary,
    estimate_all,
    find_primary,
    tabulate_answers,
)
from raft_cli.evaluate.gates import GateResult
from raft_cli.evaluate.records import Case, Item, Response
from raft_cli.evaluate.results import BASE, MODEL, Answer, Examinee, Judged, Results
from raft_cli.evaluate.robustness import (
    contrast_conditions,
    follow_oracle,
    measure_refusals,
    measure_retrieval,
    slice_questions,
)
from raft_cli.evaluate.score import grade_response
from raft_cli.evaluate.verdict import tell_verdict

CONDITIONS = (
    "closed", "oracle", "oracle+1", "oracle+2", "oracle+4", "oracle+8", "distract", "retrieved@3", "retrieved@5",
    "pos@0", "pos@0.5", "pos@1",
)  # fmt: skip
QUICK = ("closed", "oracle", "oracle+4", "distract")
Say = Callable[[str, Item, Case], Response]

# How often each behaviour comes, of a model and of its base, where an oracle is shown.
_KINDS = "grounded lucky misled altered fabricated near refused untagged cut rambling".split()
_MODEL, _BASE = (60, 8, 8, 4, 3, 5, 4, 3, 2, 3), (22, 20, 16, 5, 8, 4, 9, 10, 2, 4)


def make_results(
    *,
    questions: int = 24,
    conditions: Sequence[str] = CONDITIONS,
    baseline: bool = True,
    judge: bool = True,
    say: Say | None = None,
    names: tuple[str, str] = ("runs/qwen-raft", "Qwen/Qwen2.5-7B-Instruct"),
) -> Results:
    """Return what an evaluation comes to. Every third question is Chinese, every other passage seen in training.

    Args:
        baseline: Whether there is a base to compare with.
        judge: Whether a judge gave verdicts.
        say: What a model (`model`, `base`) says to a case; by default a seeded mixture of all that models do, in which
            one answer of the model is missing.
    """
    chunks = make_library(questions)
    items = make_items(chunks, questions)
    built = build_cases(
        items,
        chunks,
        parse_conditions(conditions),
        seed=7,
        distractors_trained=4,
        search=search_lexically(chunks),
    )
    labels = [MODEL, BASE][: 1 + baseline]
    answers = [answer for label in labels for answer in _answer_all(label, items, built, say or behave, judge)]
    clusters = {item.id: item.oracle_ids[0] for item in items}
    table = tabulate_answers(answers, clusters, judged=judge, seed=7)
    results = _sum_up(
        items, chunks, built, table, answers, [_introduce(*each) for each in zip(labels, names, strict=False)]
    )
    if judge:
        results = replace(results, judged=Judged("gpt-4.1-mini@https://judge.example/v1", 310, 12, 2, 0.87, (0.81, 40)))
    return replace(results, verdict=tell_verdict(results))


def make_library(questions: int) -> dict[str, Chunk]:
    """Return passages, every third in Chinese; two passages a document."""
    english = list(make_corpus(questions + 12).values())
    texts = [each.text if at % 3 else write_chinese(at) for at, each in enumerate(english)]
    made = [
        replace(
            make_chunk(text, at, document=f"manual{at // 2}", language="en" if at % 3 else "zh"),
            title="Hall manual",
            heading=("Maintenance", f"Hall {at}"),
            page=at + 1,
        )
        for at, text in enumerate(texts)
    ]
    return {chunk.id: chunk for chunk in made}


def write_chinese(at: int) -> str:
    """Return a Chinese passage that shares no sentence with another."""
    draw = random.Random(f"chinese:{at}")
    filler = ["".join(chr(draw.randrange(0x5000, 0x9000)) for _ in range(9)) for _ in range(8)]
    return f"第{at}号车间的检修由{word(at)}小组负责。" + "，".join(filler) + f"。每次检修持续{at + 40}分钟，不得中断。"


def make_items(chunks: dict[str, Chunk], questions: int) -> list[Item]:
    made = []
    for at, chunk in enumerate(list(chunks.values())[:questions]):
        chinese = chunk.language == "zh"
        gold = f"{at + 40}分钟" if chinese else f"{at + 40} minutes"
        topic = TOPICS[at % len(TOPICS)]
        question = f"第{at}号车间每次检修持续多久？" if chinese else f"How long does the {topic} of hall {at} take?"
        quote = find_evidence(chunk)
        made.append(
            make_item(
                at,
                chunk,
                gold=gold,
                question=question,
                language=chunk.language,
                kind="factoid" if at % 4 else "reasoning",
                seen=at % 2 == 0,
                reference=f"It says {BEGIN}{quote.text}{END}.\n<ANSWER>: {gold}",
                quotes=(quote,),
            )
        )
    return made


def find_evidence(chunk: Chunk) -> Quote:
    """Return the words of a passage that tell its number of minutes."""
    start = chunk.text.index("每次检修" if chunk.language == "zh" else " each lasting")
    text = chunk.text[start:].strip()
    return Quote(text, chunk.id, chunk.text.index(text), chunk.text.index(text) + len(text))


def behave(label: str, item: Item, case: Case) -> Response:
    """Say something: proven, lucky, misled, misquoting, declining, without a tag, cut off, too long."""
    place = case.condition if case.condition == "pos@0.5" else ""
    draw = random.Random(f"{label}:{item.id}:{len(case.documents)}:{bool(case.oracle)}:{place}")
    if (label, item.id, case.condition) == (MODEL, "item0002", "oracle+4"):
        return Response("", "", 0, 0, "the server did not answer (timeout after 300 s)")
    kind = draw.choices(_KINDS, _MODEL if label == MODEL else _BASE)[0]
    if not case.oracle and draw.random() < 0.7:
        kind = "refused" if label == MODEL or draw.random() < 0.3 else draw.choice(("misled", "lucky", "fabricated"))
    text = speak(kind, item, case, draw)
    finish = "length" if kind == "cut" else "stop"
    return Response(text, finish, 120 + sum(each.tokens for each in case.documents), len(text) // 4 + 1)


def speak(kind: str, item: Item, case: Case, draw: random.Random) -> str:
    """Return an answer of one kind; of what has no documents, one without proof."""
    gold = case.golds[0]
    others = [chunk for chunk in case.documents if chunk.id not in item.oracle_ids]
    shown = [chunk for chunk in case.documents if chunk.id in item.oracle_ids]
    chinese = item.language == "zh"
    if kind == "refused":
        return "The passages do not say.\n<ANSWER>: " + ("文档中没有提到。" if chinese else "I don't know.")
    if kind == "misled" and others:
        quote = find_evidence(draw.choice(others)).text
        number = "".join(letter for letter in quote if letter.isdigit())
        return f"One document says {BEGIN}{quote}{END}.\n<ANSWER>: {number}{'分钟' if chinese else ' minutes'}"
    if kind == "fabricated":
        return f"It says {BEGIN}all machines are left alone for a whole fortnight{END}.\n<ANSWER>: a fortnight"
    if not shown or kind == "lucky":
        return f"I remember this one.\n<ANSWER>: {gold if shown or draw.random() < 0.3 else '7 days'}"
    quote = item.quotes[0].text
    if kind == "altered":
        quote = shown[0].text.replace(f"{gold[:2]}", "99") if gold[:2] in shown[0].text else quote
    if kind == "near":
        quote = shown[0].text.replace("lasting ", "").replace("，不得", "不得")
    said = f"The question is about a hall.\nIts manual says {BEGIN}{quote}{END}, and {BEGIN}hall{END}."
    if kind == "rambling":
        return f"{said} {BEGIN}\n<ANSWER>: " + " ".join(word(at + 400) for at in range(30)) + f" {gold}"
    return {"untagged": f"{said}\nSo it takes {gold}.", "cut": said}.get(kind, f"{said}\n<ANSWER>: {gold}")


def _answer_all(label: str, items: Sequence[Item], built: CaseSet, say: Say, judge: bool) -> list[Answer]:
    held = {item.id: item for item in items}
    answers = []
    for case in built.cases:
        item = held[case.item_id]
        response = say(label, item, case)
        grade = None if response.error else grade_response(item, case, response)
        verdict = "" if grade is None or not judge else "CORRECT" if grade.acc_lenient else "INCORRECT"
        verdict = "NOT_ATTEMPTED" if grade and judge and grade.refused else verdict
        answers.append(Answer(label, item, case, f"prompt-{case.condition}", response, grade, verdict))
    return answers


def _introduce(label: str, name: str) -> Examinee:
    if label == MODEL:
        return Examinee(MODEL, name, "sha256:4f1d0c77a2 bf16", "plain", (), 288, 0, 61.4)
    tried = (("worked", 0.55, 40), ("instructed", 0.4, 40), ("plain", 0.075, 40))
    return Examinee(BASE, name, "sha256:90ab13e5c1 bf16", "worked", tried, 240, 48, 70.9, ("2 prompts were long",))


def _sum_up(
    items: Sequence[Item],
    chunks: dict[str, Chunk],
    built: CaseSet,
    table: Table,
    answers: Sequence[Answer],
    examinees: Sequence[Examinee],
) -> Results:
    models, primary = [each.label for each in examinees], find_primary(built.conditions)
    figures, differences = estimate_all(table), compare_models(table)
    positions, steadiness = follow_oracle(figures, table, models, built.conditions)
    clusters = dict(zip(table.ids, table.units, strict=True))
    stored = Stored("a" * 64, "b" * 64, table.ids, table.columns)
    passes = GateResult(f"model@{primary}.acc>=0.1", True, 0.7, 0.1, "acc is 0.700 over 24 questions", True)
    fails = GateResult(f"delta@{primary}.acc>=0.9", False, 0.1, 0.9, "the lower end of +0.300 is +0.100", True)
    shorter = Stored("a" * 64, "b" * 64, table.ids[1:], {key: each[1:] for key, each in table.columns.items()})
    return Results(
        data="data/halls",
        setting={"model": examinees[0].name, "conditions": ",".join(built.conditions), "questions": 200, "seed": 7},
        versions={"raft": "0.3.0", "python": "3.11.9", "numpy": "2.4.6"},
        exam=(("Questions", f"{len(items)}"), ("Left out, repeated", "3"), ("SHA-256 of the rows", "a" * 64)),
        items=tuple(items),
        chunks=chunks,
        conditions=built.conditions,
        primary=primary,
        examinees=tuple(examinees),
        answers=tuple(answers),
        figures=figures,
        differences=differences,
        tests=tuple(compare_primary(table, differences, built.conditions)),
        contrasts=tuple(contrast_conditions(table, models, built.conditions)),
        slices=tuple(slice_questions(table, items, models, built.conditions, primary)),
        positions=tuple(positions),
        steadiness=tuple(steadiness),
        retrievals=tuple(measure_retrieval(table, items, built.cases, models)),
        grounded_refusal=measure_refusals(table, models, primary),
        chances=built.chances,
        leaks=built.leaks,
        failures=(),
        judged=None,
        gates=(passes, fails),
        change=compare_to(stored, shorter, clusters, place="earlier/results.json", draws=200, seed=7),
        stored=stored,
        clusters=clusters,
        complete=sum(each.grade is None for each in answers) <= 0.01 * len(answers),
        verdict="",
        warnings=(*built.warnings, "only 36 passages: distractors are few and much alike from question to question"),
        seconds={"reading": 0.4, "asking": 132.3, "grading": 1.9, "figures": 2.2},
    )
