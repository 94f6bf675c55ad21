"""Asking one model: the bytes of training, the best way for the baseline, room for the answer, what stays missing."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from exams import make_corpus, make_item

from raft_cli.chat.answers import Conversation, Keep
from raft_cli.data import Message, Quote, Reply, Role
from raft_cli.errors import ConfigError, Incomplete, Interrupted
from raft_cli.evaluate.asking import Asking, choose_examples, hash_prompt
from raft_cli.evaluate.examine import (
    ask_all,
    choose_length,
    choose_way,
    examine,
    find_overlong,
    find_refused_length,
    to_response,
)
from raft_cli.evaluate.folder import RESULTS, check_folder, name_report
from raft_cli.evaluate.records import Case
from raft_cli.progress import Progress
from raft_cli.prompts import load_prompts, render_instruction
from raft_cli.store import write_json

QUIET = Progress(quiet=True)
CORPUS = make_corpus(12)
CHUNKS = list(CORPUS.values())
ITEMS = [make_item(at, CHUNKS[at], gold=f"{at + 40} minutes") for at in range(6)]
BY_ID = {item.id: item for item in ITEMS}
CASES = [
    Case(item.id, "oracle+1", (CHUNKS[at], CHUNKS[at + 6]), (Role.ORACLE, Role.RANDOM), (0,), item.golds)
    for at, item in enumerate(ITEMS)
]
ASKING = Asking("", load_prompts(), {})


class FakeExamined:
    """Says what a function makes of the prompt; None is a prompt that the server fails."""

    identity, notes, replayed = "fake weights", ["a note"], 2

    def __init__(
        self,
        say: Callable[[str], Reply | None],
        *,
        context: int = 0,
        stopped: BaseException | None = None,
        name: str = "fake",
    ) -> None:
        self.name, self.context = name, context
        self.asked: list[Conversation] = []
        self._say, self._stopped = say, stopped

    def measure(self, prompts: Sequence[Conversation]) -> list[int]:
        return [sum(len(message.content) for message in prompt) for prompt in prompts]

    def answer(
        self, prompts: Sequence[Conversation], *, max_tokens: int, stop: Sequence[str], keep: Keep, progress: Progress
    ) -> None:
        failed = 0
        for at, prompt in enumerate(prompts):
            self.asked.append(prompt)
            reply = self._say(prompt[-1].content)
            if reply is None:
                failed += 1
            else:
                keep(at, reply)
        if self._stopped:
            raise self._stopped
        if failed:
            raise Incomplete(f"{failed} prompts have no answer")


def say(text: str, finish: str = "stop") -> Reply:
    return Reply(text, finish, 10, 5)


def test_plain_is_the_prompt_of_training_byte_for_byte() -> None:
    said = render_instruction(ITEMS[0].question, CASES[0].documents)
    assert ASKING.render(ITEMS[0], CASES[0], "plain") == (Message("user", said),)
    asking = Asking("Be short.", load_prompts(), {})
    assert asking.render(ITEMS[0], CASES[0], "plain") == (Message("system", "Be short."), Message("user", said))


def test_instructed_adds_the_format_and_nothing_else() -> None:
    plain, told = (ASKING.render(ITEMS[0], CASES[0], way)[0].content for way in ("plain", "instructed"))
    assert told.startswith(plain + "\n\n") and "<ANSWER>:" in told and "##begin_quote##" in told
    chinese = make_item(0, CHUNKS[0], gold="40 minutes", language="zh")
    assert "逐字" in ASKING.render(chinese, CASES[0], "instructed")[0].content
    other = make_item(0, CHUNKS[0], gold="40 minutes", language="ja")
    assert ASKING.render(other, CASES[0], "instructed")[0].content == told


def test_worked_examples_are_short_quoting_ones_of_different_passages() -> None:
    quote = Quote("team", CHUNKS[0].id, 0, 4)
    pool = [
        make_item(at, CHUNKS[at // 2], gold="x", reference="r" * length, quotes=(quote,) if at != 3 else ())
        for at, length in enumerate((30, 10, 20, 1, 50))
    ]
    examples = choose_examples(pool, CORPUS, ["zh"])
    assert [len(reference) for _, _, reference in examples["en"]] == [10, 20]
    assert examples["zh"] == examples["en"]  # none of its own: better those than none
    turns = Asking("S", load_prompts(), examples).render(ITEMS[5], CASES[5], "worked")
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert turns[1].content.startswith(render_instruction(pool[1].question, [CHUNKS[0]]))
    assert turns[-1] == ASKING.render(ITEMS[5], CASES[5], "instructed")[-1]
    assert Asking("", load_prompts(), {}).ways(worked=True) == ("plain", "instructed")
    assert Asking("", load_prompts(), examples).ways(worked=True) == ("plain", "instructed", "worked")


def test_equal_conversations_have_equal_hashes() -> None:
    one, other = ((Message("user", "ab"),), (Message("user", "a"), Message("user", "b")))
    assert hash_prompt(one) == hash_prompt((Message("user", "ab"),)) != hash_prompt(other)


def test_length_is_half_more_than_nearly_all_references() -> None:
    items = [
        make_item(at, CHUNKS[0], gold="x", reference="w " * length) for at, length in enumerate([100] * 99 + [9000])
    ]
    count = lambda texts: [len(text.split()) for text in texts]  # noqa: E731
    assert choose_length(items, count) == 160  # 150, in steps of 32
    assert choose_length(items[:1] * 3, lambda texts: [3] * len(texts)) == 64
    assert choose_length(ITEMS, count) == 512  # no references


def test_what_leaves_no_room_is_found_and_nothing_is_cut() -> None:
    prompts = [(Message("user", "x" * length),) for length in (80, 90, 91, 500)]
    assert find_overlong(FakeExamined(say, context=100), prompts, 10) == [2, 3]  # type: ignore[arg-type]
    assert find_overlong(FakeExamined(say, context=0), prompts, 10) == []  # type: ignore[arg-type]


def answer_when_told(prompt: str) -> Reply:
    """Know every answer, but keep the format only where it is explained."""
    gold = next(item.golds[0] for item in ITEMS if item.question in prompt)
    return say(f"<ANSWER>: {gold}" if "<ANSWER>:" in prompt else f"It is {gold}, I believe, or so")


def test_the_baseline_is_asked_in_the_way_that_serves_it_best() -> None:
    tried = choose_way(
        FakeExamined(answer_when_told), ASKING, ("plain", "instructed"), BY_ID, CASES, max_tokens=9, progress=QUIET
    )
    assert tried == (("instructed", 1.0, 6), ("plain", 0.0, 6))


def test_the_plain_way_wins_a_tie_and_missing_answers_do_not_count() -> None:
    asked = iter(range(100))

    def answer(prompt: str) -> Reply:
        gold = next(item.golds[0] for item in ITEMS if item.question in prompt)
        return say("", "content_filter") if next(asked) == 0 else say(f"<ANSWER>: {gold}")

    tried = choose_way(
        FakeExamined(answer), ASKING, ("plain", "instructed"), BY_ID, CASES, max_tokens=9, progress=QUIET
    )
    assert tried == (("plain", 1.0, 5), ("instructed", 1.0, 5))


def test_ways_are_compared_on_questions_that_were_answered_in_all_of_them() -> None:
    """What the filter of a server keeps back in one way must not make that way look better."""

    def answer(prompt: str) -> Reply:
        at = next(at for at, item in enumerate(ITEMS) if item.question in prompt)
        told = "<ANSWER>:" in prompt
        if at > 2 and not told:
            return say("", "content_filter")
        return say("<ANSWER>: " + ("nobody" if at > 2 or (at == 2 and not told) else ITEMS[at].golds[0]))

    tried = choose_way(
        FakeExamined(answer), ASKING, ("plain", "instructed"), BY_ID, CASES, max_tokens=9, progress=QUIET
    )
    assert tried == (("instructed", 1.0, 3), ("plain", 2 / 3, 3))


def test_with_partial_the_ways_are_compared_on_the_answers_that_are_there() -> None:
    def answer(prompt: str) -> Reply | None:
        gold = next(item.golds[0] for item in ITEMS if item.question in prompt)
        return None if ITEMS[0].question in prompt else say(f"<ANSWER>: {gold}")

    student = FakeExamined(answer)
    tried = choose_way(student, ASKING, ("plain",), BY_ID, CASES, max_tokens=9, partial=True, progress=QUIET)
    assert tried == (("plain", 1.0, 5),)
    with pytest.raises(Incomplete, match="--partial"):
        choose_way(student, ASKING, ("plain",), BY_ID, CASES, max_tokens=9, progress=QUIET)


def test_trials_that_do_not_fit_in_one_way_count_in_none() -> None:
    lengths = sorted(
        len(ASKING.render(item, case, "instructed")[0].content) for item, case in zip(ITEMS, CASES, strict=True)
    )
    student = FakeExamined(answer_when_told, context=lengths[3] + 9)
    fits = sum(length <= lengths[3] for length in lengths)
    tried = choose_way(student, ASKING, ("plain", "instructed"), BY_ID, CASES, max_tokens=9, progress=QUIET)
    assert {count for *_, count in tried} == {fits} and 0 < fits < 6


def test_an_answer_that_cannot_be_had_stops_the_run_unless_partial_is_given() -> None:
    fails = FakeExamined(lambda prompt: None if ITEMS[2].question in prompt else say("x"))
    prompts = [ASKING.render(item, case, "plain") for item, case in zip(ITEMS, CASES, strict=True)]
    with pytest.raises(Incomplete, match=r"1 prompts .*--partial"):
        ask_all(fails, prompts, max_tokens=9, partial=False, progress=QUIET)
    replies = ask_all(fails, prompts, max_tokens=9, partial=True, progress=QUIET)
    assert [at for at, reply in enumerate(replies) if reply is None] == [2]
    assert to_response(replies[2]).error and not to_response(replies[0]).error


def test_ctrl_c_is_never_taken_for_a_partial_run() -> None:
    stopped = FakeExamined(lambda prompt: say("x"), stopped=Interrupted("by Ctrl-C"))
    with pytest.raises(Interrupted):
        ask_all(stopped, [(Message("user", "a"),)], max_tokens=9, partial=True, progress=QUIET)


@pytest.mark.parametrize("finish", ["context_length", "bad_request", "content_filter", "refusal"])
def test_what_the_server_holds_back_is_missing(finish: str) -> None:
    response = to_response(say("why", finish))
    assert "why" in response.error and response.finish == finish
    assert not to_response(say("", "stop")).error and not to_response(say("x", "length")).error


def test_one_model_answers_every_case_in_order() -> None:
    student = FakeExamined(answer_when_told)
    asked = examine(
        student, "base", ASKING, (), "instructed", BY_ID, CASES, max_tokens=9, partial=False, progress=QUIET
    )
    assert [response.text for response in asked.responses] == [f"<ANSWER>: {item.golds[0]}" for item in ITEMS]
    assert asked.prompts == tuple(map(hash_prompt, student.asked))
    told = asked.examinee
    assert (told.label, told.prompt, told.asked, told.replayed, told.notes) == ("base", "instructed", 6, 0, ("a note",))


def test_a_server_that_finds_a_prompt_too_long_is_believed() -> None:
    student = FakeExamined(lambda prompt: say("", "context_length" if ITEMS[1].question in prompt else "stop"))
    asked = examine(student, "model", ASKING, (), "plain", BY_ID, CASES, max_tokens=9, partial=False, progress=QUIET)
    assert find_refused_length([asked], CASES) == {ITEMS[1].id}


NAMES = {"DATA": "data", "--model": "run", "--baseline": "base"}


def test_a_path_is_the_same_however_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    assert name_report("run/", "run", "") == name_report(str(tmp_path / "run"), "./run", "")
    assert name_report("run", "org/model", "endpoint:m@http://x/v1")["--model"] == "org/model"


def test_a_report_is_not_written_over_another_one(tmp_path: Path) -> None:
    out = tmp_path / "report"
    check_folder(out, NAMES, force=False)
    out.mkdir()
    check_folder(out, NAMES, force=False)
    write_json(out / RESULTS, {"names": NAMES})
    check_folder(out, NAMES, force=False)
    with pytest.raises(ConfigError, match=r"--model was run.*--force"):
        check_folder(out, {**NAMES, "--model": "run2"}, force=False)
    check_folder(out, {**NAMES, "--model": "run2"}, force=True)
