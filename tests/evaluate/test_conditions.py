"""Every condition shows what its name says: nested distractors, an oracle in its place, no answer given away."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from exams import make_corpus, make_item
from fakes import make_chunks
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_cli.data import Chunk, Role
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.evaluate.cases import CaseSet, build_cases, search_lexically
from raft_cli.evaluate.conditions import PRESETS, parse_condition, parse_conditions
from raft_cli.evaluate.counter import Swaps
from raft_cli.evaluate.records import Case, Item
from raft_cli.evaluate.trec import read_run
from raft_cli.language import fold

CORPUS = make_corpus(60)
CHUNKS = list(CORPUS.values())
SEARCH = search_lexically(CORPUS)


def team(chunk: Chunk) -> str:
    return f"team {chunk.text.split('by team ')[1].split('.')[0]}"


def ask(number: int, *at: int) -> Item:
    chunks = [CHUNKS[each] for each in at]
    return make_item(number, *chunks, gold=team(chunks[0]), question=f"Who checks the {chunks[0].text.split()[1]}?")


ITEMS = [ask(number, number * 3) for number in range(20)]


def build(
    items: Sequence[Item] = ITEMS,
    *names: str,
    chunks: Mapping[str, Chunk] = CORPUS,
    seed: int = 1,
    trained: int = 4,
    run: Mapping[str, Sequence[str]] | None = None,
) -> CaseSet:
    return build_cases(
        items,
        chunks,
        parse_conditions(names or ("full",)),
        seed=seed,
        distractors_trained=trained,
        search=SEARCH if chunks is CORPUS else search_lexically(chunks),
        run=run,
    )


def by_item(found: CaseSet) -> dict[str, dict[str, Case]]:
    cases: dict[str, dict[str, Case]] = defaultdict(dict)
    for case in found.cases:
        cases[case.item_id][case.condition] = case
    return cases


def others(case: Case) -> list[str]:
    return [chunk.id for chunk, role in zip(case.documents, case.roles, strict=True) if role is not Role.ORACLE]


SEEDS = st.integers(0, 10_000)
ORACLES = st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True)


@settings(max_examples=40)
@given(ORACLES, SEEDS)
def test_distractors_are_nested_and_in_one_order(at: list[int], seed: int) -> None:
    item = ask(0, *at)
    cases = by_item(build([item], seed=seed))[item.id]
    longest = others(cases["oracle+8"])
    for k in (1, 2, 4, 8):
        assert others(cases[f"oracle+{k}"]) == longest[:k]
    assert others(cases["distract"]) == longest[: 4 + len(at)]
    for place in ("0", "0.25", "0.5", "0.75", "1"):
        assert others(cases[f"pos@{place}"]) == longest
    roles = [role for role in cases["oracle+8"].roles if role is not Role.ORACLE]
    assert roles == [Role.HARD, Role.RANDOM] * 4


@settings(max_examples=40)
@given(ORACLES, SEEDS)
def test_the_oracle_stands_at_one_fraction_of_each_row(at: list[int], seed: int) -> None:
    item = ask(0, *at)
    cases = by_item(build([item], seed=seed))[item.id]
    orders = set()
    fractions = [(0.0, 1.0)] * len(at)
    for name, case in cases.items():
        shown = [case.documents[each] for each in case.oracle]
        if name.startswith(("oracle", "pos")):
            assert sorted(chunk.id for chunk in shown) == sorted(item.oracle_ids)
            orders.add(tuple(chunk.id for chunk in shown))
        if name.startswith("oracle+"):
            k = len(case.documents) - len(at)
            slots = [place - rank for rank, place in enumerate(case.oracle)]
            fractions = [
                (max(low, slot / (k + 1)), min(high, (slot + 1) / (k + 1)))
                for (low, high), slot in zip(fractions, slots, strict=True)
            ]
    assert len(orders) == 1
    assert all(low < high for low, high in fractions)


def test_positions_are_those_of_the_name() -> None:
    for item_cases in by_item(build([ask(0, 1), ask(1, 4, 9)])).values():
        for place, slot in ("0", 0), ("0.25", 2), ("0.5", 4), ("0.75", 6), ("1", 8):
            case = item_cases[f"pos@{place}"]
            assert case.oracle == tuple(range(slot, slot + len(case.oracle)))
            assert len(case.documents) == 8 + len(case.oracle)


@settings(max_examples=40)
@given(st.lists(ORACLES, min_size=1, max_size=4), SEEDS, st.integers(0, 9))
def test_nothing_is_given_away_and_nothing_stands_twice(spots: list[list[int]], seed: int, trained: int) -> None:
    items = [ask(number, *at) for number, at in enumerate(spots)]
    golds = {item.id: fold(item.golds[0]) for item in items}
    oracles = {item.id: set(item.oracle_ids) for item in items}
    found = build(items, seed=seed, trained=trained)
    for case in found.cases:
        assert len({chunk.id for chunk in case.documents}) == len(case.documents) == len(case.roles)
        assert case.oracle == tuple(at for at, role in enumerate(case.roles) if role is Role.ORACLE)
        if not case.condition.startswith(("retrieved", "counter")):
            for chunk, role in zip(case.documents, case.roles, strict=True):
                assert (role is Role.ORACLE) == (chunk.id in oracles[case.item_id])
                assert role is Role.ORACLE or golds[case.item_id] not in fold(chunk.text)
    for item in items:
        cases = by_item(found)[item.id]
        assert cases["closed"].documents == () and not cases["distract"].oracle
        assert len(cases["distract"].documents) == trained + len(item.oracle_ids)
        assert len(cases["oracle"].documents) == len(item.oracle_ids)


def test_the_same_seed_gives_the_same_cases_whatever_is_beside() -> None:
    whole = build(ITEMS, seed=5)
    assert whole == build(ITEMS, seed=5)
    assert whole.cases != build(ITEMS, seed=6).cases
    few = build(ITEMS[7:9], "oracle+2", "retrieved@3", seed=5)
    expected = [
        case
        for case in whole.cases
        if case.item_id in ("item0007", "item0008") and case.condition in ("oracle+2", "retrieved@3")
    ]
    assert list(few.cases) == expected


def test_cases_come_question_by_question_in_the_order_of_the_conditions() -> None:
    found = build(ITEMS[:2], "quick")
    assert [(case.item_id, case.condition) for case in found.cases] == [
        (item.id, name) for item in ITEMS[:2] for name in PRESETS["quick"]
    ]
    assert found.conditions == PRESETS["quick"] and not found.left_out and not found.warnings


def test_chances_are_the_shares_of_the_oracle() -> None:
    found = build(ITEMS, "closed", "oracle", "oracle+1", "oracle+4", "distract", "pos@0.5")
    assert found.chances == {
        "closed": None, "oracle": 1.0, "oracle+1": 1 / 2, "oracle+4": pytest.approx(1 / 5), "distract": 0.0,
        "pos@0.5": pytest.approx(1 / 9),
    }  # fmt: skip


def test_retrieved_is_what_the_search_finds_by_the_question_alone() -> None:
    cases = by_item(build(ITEMS, "retrieved@3", "retrieved@10"))
    for item in ITEMS:
        names = [chunk.id for chunk in cases[item.id]["retrieved@10"].documents]
        assert names == list(SEARCH(item.question, 50))[:10]
        case = cases[item.id]["retrieved@3"]
        assert [chunk.id for chunk in case.documents] == names[:3]
        assert [case.documents[at].id for at in case.oracle] == [name for name in names[:3] if name in item.oracle_ids]


def test_a_search_that_finds_too_little_is_said() -> None:
    lost = make_item(50, CHUNKS[0], gold="team x", question="Zzz qqq?")
    found = build([*ITEMS, lost], "retrieved@3")
    assert found.cases[-1].documents == ()
    assert "retrieved@3: for 1 of 21 questions fewer passages were found" in found.warnings


def test_a_passage_that_gives_the_answer_away_is_barred_and_counted() -> None:
    texts = ["The gateway logs for 14 days.", "Logs: 14 DAYS  at most.", "The gateway logs for 15 days, or more.", *(
        f"Nothing of {at} matters to the {word} of bay {at * 31}, says note {at}." for at, word in enumerate("abcdefgh")
    )]  # fmt: skip
    chunks = {chunk.id: chunk for chunk in make_chunks(texts)}
    first, leak, near, *rest = chunks.values()
    twin = replace(first, id="twin", text=first.text.upper())
    overlapping = replace(
        rest[0], id="overlap", document_id=first.document_id, start=10, end=60, text="unlike all of it"
    )
    chunks |= {"twin": twin, "overlap": overlapping}
    item = make_item(0, first, gold="14 days", question="How long does the gateway log?")
    found = build([item], "oracle+8", chunks=chunks)
    assert {leak.id, near.id, "twin", "overlap"}.isdisjoint(chunk.id for chunk in found.cases[0].documents)
    leaks = build([item], "closed", "oracle+9", chunks=chunks).leaks  # more than there are: all are looked at
    assert (leaks.answer, leaks.alike, leaks.overlap, leaks.examined) == (1, 1, 2, len(chunks) - 1)
    assert leaks.rate == 4 / leaks.examined
    common = make_item(0, first, gold="14", question="How many days does the gateway log?")
    assert leak.id in [chunk.id for chunk in build([common], "oracle+8", chunks=chunks).cases[0].documents]


def test_chinese_answers_of_two_characters_are_specific() -> None:
    others = [f"第{at}号阀门由{team}班检查，每周一次。" for at, team in enumerate("甲乙丙丁戊己")]
    texts = ["网关的日志保存在内存中，断电后丢失。", "请检查内存条是否插好。", *others]
    chunks = {chunk.id: chunk for chunk in make_chunks(texts)}
    item = make_item(0, next(iter(chunks.values())), gold="内存", question="网关的日志保存在哪里？")
    found = build([item], "distract", chunks=chunks)
    assert all("内存" not in chunk.text for chunk in found.cases[0].documents) and found.leaks.answer == 1


def test_a_condition_that_the_corpus_is_too_small_for_is_left_out() -> None:
    small = dict(list(CORPUS.items())[:6])
    items = [ask(0, 0), ask(1, 1)]
    found = build(items, "standard", chunks=small)
    assert found.conditions == ("closed", "oracle", "oracle+1", "oracle+2", "oracle+4", "distract", "retrieved@3",
                                "retrieved@5")  # fmt: skip
    assert found.left_out.keys() == {"oracle+8", "retrieved@10"}
    assert "oracle+8 left out: of the 6 passages too few are safe as distractors, it needs 8" in found.warnings[0]
    assert "the corpus has only 6 passages" in found.left_out["retrieved@10"]
    with pytest.raises(DatasetError, match="nothing can be asked: oracle\\+8 left out"):
        build(items, "oracle+8", chunks=small)
    with pytest.raises(DatasetError, match="there is no question"):
        build([], "quick")


def test_a_question_with_too_few_safe_passages_is_left_out_alone() -> None:
    everywhere = make_item(50, CHUNKS[0], gold="minutes", question="In what unit?")
    found = build([*ITEMS, everywhere], "quick")
    assert [case.condition for case in found.cases if case.item_id == "item0050"] == ["closed", "oracle"]
    assert found.warnings == (
        "oracle+4: asked of 20 of 21 questions; the others have too few safe distractors",
        "distract: asked of 20 of 21 questions; the others have too few safe distractors",
    )
    assert found.leaks.rate and found.leaks.answer >= 59


def test_counter_swaps_the_answer_and_nothing_else() -> None:
    found = build(ITEMS, "oracle", "counter")
    assert len(found.cases) == 40
    golds = {item.golds[0] for item in ITEMS}
    for item in ITEMS:
        case, told = by_item(found)[item.id]["counter"], by_item(found)[item.id]["oracle"].documents[0].text
        assert case.golds != item.golds and case.golds[0] in golds and case.oracle == (0,)
        chunk = case.documents[0]
        assert chunk.text == told.replace(item.golds[0], case.golds[0]) and chunk.id not in CORPUS
        assert chunk.end - chunk.start == len(chunk.text)


def swap(gold: str, text: str, *golds: str, question: str = "What is it?") -> tuple[str, str] | None:
    """Return a text with its answer swapped for one of `golds`, and the new answer."""
    chunks = make_chunks([text, *golds])
    item = make_item(0, chunks[0], gold=gold, question=question)
    stock = [item, *(make_item(at, chunk, gold=chunk.text) for at, chunk in enumerate(chunks[1:], 1))]
    found = Swaps(stock, seed=1).swap(item, chunks[:1])
    return (found[0][0].text, found[1]) if found else None


@pytest.mark.parametrize(
    ("gold", "text", "golds", "swapped", "made"),
    [
        ("14 days", "Kept for 14 days.", ["30 minutes", "Paris"], "Kept for 30 days.", "30 days"),
        ("5", "Take 5, not 15 or 5.5; V5 has 5.", ["7"], "Take 7, not 15 or 5.5; V5 has 7.", "7"),
        ("0.5 bar", "At 0.5 bar.", ["7", "2024", "1.25 V"], "At 1.25 bar.", "1.25 bar"),
        ("E-4203", "Raises E-4203.", ["1,000", "8080", "E-17", "W-3"], "Raises E-17.", "E-17"),
        ("3.2.0", "Since 3.2.0.", ["3.5", "2.9.4"], "Since 2.9.4.", "2.9.4"),
        ("30 days", "For 30 days.", ["3104", "1,024", "60 ms"], "For 60 days.", "60 days"),
        ("1998", "Built in 1998.", ["7 days", "2003"], "Built in 2003.", "2003"),
        ("2024-05-01", "Due 2024-05-01.", ["2023-11-30", "7", "3 to 4"], "Due 2023-11-30.", "2023-11-30"),
        ("Paris", "In Paris, at Parish road.", ["Rome", "a red lamp", "12"], "In Rome, at Parish road.", "Rome"),
        ("a red lamp", "It shows a red lamp.", ["Rome", "two beeps"], "It shows two beeps.", "two beeps"),
        ("max_conn", "Set max_conn.", ["Rome", "log.level"], "Set log.level.", "log.level"),
        ("14 天", "保存14 天。", ["30 秒"], "保存30 天。", "30 天"),
        ("内存", "存于内存中。", ["闪存", "Rome"], "存于闪存中。", "闪存"),
    ],
)
def test_values_are_swapped_for_their_like(gold: str, text: str, golds: list[str], swapped: str, made: str) -> None:
    assert swap(gold, text, *golds) == (swapped, made)


@pytest.mark.parametrize(
    ("gold", "text", "golds"),
    [
        ("14 days", "Kept for fourteen days.", ["30 days"]),
        ("Paris", "In Paris.", ["12", "a red lamp"]),
        ("Paris", "In Paris, not in Rome.", ["Rome"]),
        ("Paris", "In Paris. PARIS is large.", ["Rome"]),
        ("yes", "It says yes.", ["no", "Rome"]),
        ("14 days", "Kept for 14 days.", ["14 hours", "3.5"]),
        ("5", "There are 15 of V5.", ["7"]),
        ("it is all of this and so much more than that", "So it is all of this and so much more than that.", ["x y"]),
        ("", "Nothing.", ["Rome"]),
    ],
)
def test_what_cannot_be_swapped_is_not(gold: str, text: str, golds: list[str]) -> None:
    assert swap(gold, text, *golds) is None


def test_an_answer_that_the_question_names_is_not_swapped() -> None:
    assert swap("Paris", "In Paris.", "Rome", question="Paris or Lyon?") is None


@settings(max_examples=30)
@given(SEEDS)
def test_a_swapped_oracle_tells_the_new_answer_and_not_the_old(seed: int) -> None:
    for case in build(ITEMS, "counter", seed=seed).cases:
        old = next(item.golds[0] for item in ITEMS if item.id == case.item_id)
        text = fold(case.documents[0].text)
        assert fold(case.golds[0]) in text and fold(old) not in text


def test_presets_grow() -> None:
    quick, standard, full = (PRESETS[name] for name in ("quick", "standard", "full"))
    assert set(quick) < set(standard) < set(full)
    assert set(standard) - set(quick) == {f"oracle+{k}" for k in (1, 2, 8)} | {f"retrieved@{k}" for k in (3, 5, 10)}
    assert set(full) - set(standard) == {f"pos@{r}" for r in ("0", "0.25", "0.5", "0.75", "1")} | {"counter"}
    assert [each.name for each in parse_conditions(["quick", "oracle+4", "counter"])] == [*quick, "counter"]
    for name in full:
        assert parse_condition(name).name == name
    assert parse_condition("pos@0.50").name == "pos@0.5"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "open",
        "oracle+",
        "oracle+0",
        "oracle4",
        "closed+1",
        "retrieved",
        "retrieved@0",
        "pos@2",
        "pos@1.5",
        "Oracle",
        "x",
    ],
)
def test_unknown_conditions_are_named(name: str) -> None:
    with pytest.raises(ConfigError, match=r"no condition '.*'; there are closed, oracle, "):
        parse_condition(name)


def write_run(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_run_file_stands_in_for_the_search(tmp_path: Path) -> None:
    items = ITEMS[:2]
    names = [chunk.id for chunk in CHUNKS[:4]]
    path = write_run(
        tmp_path / "runs.trec",
        f"item0000 Q0 {names[2]} 2 7.5 mine",
        f"item0000\tQ0\t{names[0]}\t1\t9.5\tmine",
        f"item0000 Q0 {names[1]} 3 7.5 mine",
        f"item0000 Q0 {names[0]} 4 1e-3 mine",
        "",
        f"item0001 Q0 {names[3]} 1 1 mine",
        "another Q0 unknown 1 1 mine",
    )
    run = read_run(path, questions=[item.id for item in items], chunks=CORPUS)
    assert run == {"item0000": (names[0], names[2], names[1]), "item0001": (names[3],)}
    found = build(items, "retrieved@3", run=run)
    assert [[chunk.id for chunk in case.documents] for case in found.cases] == [[*run["item0000"]], [names[3]]]
    assert found.cases[0].oracle == (0,) and found.cases[1].oracle == (0,)
    assert found.warnings == ("retrieved@3: for 1 of 2 questions fewer passages were found",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("item0000 chunk0000 1 2", "line 2: expected `question-id Q0 chunk-id rank score tag`, found `item0000 chunk"),
        ("item0000 Q0 chunk0000 first 2 tag", "line 2: expected"),
        ("item0000 Q0 chunk0000 1 nan tag", "line 2: rank or score is not a number"),
        ("item0000 Q0 chunk9999 1 2 tag", "line 2: no passage chunk9999 in this dataset"),
        ("item0000 Q0 chunk0000 1 2 tag", "no line for 1 of 2 questions .the first is item0001."),
    ],
)
def test_faults_of_a_run_file_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = write_run(tmp_path / "runs.trec", "item0000 Q0 chunk0001 1 3 tag", line)
    with pytest.raises(DatasetError, match=message):
        read_run(path, questions=["item0000", "item0001"], chunks=CORPUS)
    with pytest.raises(DatasetError, match="cannot read the run file"):
        read_run(tmp_path / "none", questions=[], chunks=[])
