"""A question asked of a dataset's passages: what the model is sent, and what is made of its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from exams import make_corpus, make_item, write_folder
from fakes import BEGIN, END

from raft_cli.chat.flow import Said, Say, TooLong
from raft_cli.data import Chunk, Message
from raft_cli.errors import ConfigError, DatasetError, ModelError
from raft_cli.evaluate.ask import Exchange, Quoted, ask_question
from raft_cli.evaluate.cases import build_cases
from raft_cli.evaluate.conditions import parse_conditions
from raft_cli.evaluate.library import (
    Library,
    Training,
    choose_count,
    compare_corpora,
    open_library,
    read_training,
)
from raft_cli.prompts import render_instruction
from raft_cli.store import write_json

CORPUS = make_corpus(30)
QUESTION = "Who checks the pump of hall 20?"


@dataclass
class Parrot:
    """A `Streaming` model that says one thing, and has room for so many documents.

    Attributes:
        early: Whether it can tell before it is asked that a prompt is too long.
        history: What it was asked.
    """

    says: Said = field(default_factory=lambda: Said("It is so.\n<ANSWER>: so", "stop"))
    room: int = 100
    early: bool = True
    history: list[tuple[Message, ...]] = field(default_factory=list)
    name: str = "parrot"
    notes: list[str] = field(default_factory=list)

    def _check(self, messages: Sequence[Message]) -> None:
        if messages[-1].content.count("<DOCUMENT>") > self.room:
            raise TooLong("a prompt without room for an answer")

    def render(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        del max_tokens
        if self.early:
            self._check(messages)
        return "|".join(f"{turn.role}:{turn.content}" for turn in messages)

    def stream(self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str], say: Say) -> Said:
        assert max_tokens == 50 and stop == ("</ANSWER>",)
        self.history.append(tuple(messages))
        self._check(messages)
        say(self.says.text)
        return self.says


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return open_library(write_folder(tmp_path_factory.mktemp("data"), test=[], chunks=list(CORPUS.values())))


def ask(library: Library, model: Parrot, question: str = QUESTION, *, count: int = 4, **more: Any) -> Exchange:
    given = {"system": "", "max_tokens": 50, "begin": lambda prompt: None, "say": lambda piece: None, **more}
    return ask_question(question, library, model, count=count, **given)


def answer(library: Library, text: str) -> Exchange:
    return ask(library, Parrot(Said(text, "stop")))


def test_the_prompt_is_that_of_training_about_what_is_retrieved(library: Library) -> None:
    model, shown, said = Parrot(), list[str](), list[str]()
    exchange = ask(library, model, f" {QUESTION}\n", system="Be brief.", begin=shown.append, say=said.append)
    assert exchange.question == QUESTION and exchange.documents[0].text.startswith("The pump of hall 20")
    wanted = render_instruction(QUESTION, exchange.documents)
    assert model.history == [(Message("system", "Be brief."), Message("user", wanted))]
    assert shown == [exchange.prompt] == [f"system:Be brief.|user:{wanted}"] and said == [exchange.said.text]
    plain = Parrot()
    ask(library, plain)
    assert [turn.role for turn in plain.history[0]] == ["user"]


def test_retrieval_is_that_of_the_evaluation(library: Library) -> None:
    item = make_item(0, CORPUS["chunk0020"], gold="x", question=QUESTION)
    cases = build_cases(
        [item],
        library.chunks,
        parse_conditions(["retrieved@4"]),
        seed=0,
        distractors_trained=3,
        search=library.search,
    ).cases
    assert ask(library, Parrot()).documents == cases[0].documents


def test_each_quotation_gets_its_verdict(library: Library) -> None:
    first, second = ask(library, Parrot()).documents[:2]
    words = first.text.split()
    exact, near = " ".join(words[:12]), " ".join([*words[:16], "and", *words[16:26]])
    altered = " ".join(second.text.split()[-12:]).replace("lasting ", "lasting 9")
    quotes = [exact, near, altered, "Nobody has ever written this sentence down.", words[3]]
    exchange = answer(library, "".join(f"{BEGIN}{quote}{END} " for quote in quotes) + "\n<ANSWER>: team 5")
    assert [quote.verdict for quote in exchange.quotes] == ["verbatim", "near", "altered", "nowhere", "short"]
    assert exchange.quotes[0] == Quoted(exact, "verbatim", 1, (), exact)
    assert exchange.quotes[1].document == 1 and exchange.quotes[1].source == " ".join(words[:26])
    assert exchange.quotes[2].document == 2 and exchange.quotes[2].source in second.text
    assert exchange.quotes[3] == Quoted(quotes[3], "nowhere", None, (), "")
    assert exchange.final == "team 5" and exchange.notes == ()


def test_a_quotation_of_several_documents_names_them_all(tmp_path: Path) -> None:
    twice = [chunk for chunk in make_corpus(3).values()]
    held = [Chunk(**{**_fields(chunk), "text": f"The warranty lasts two years here. {chunk.text}"}) for chunk in twice]
    library = open_library(write_folder(tmp_path, test=[], chunks=held))
    exchange = ask(library, Parrot(Said(f"{BEGIN}The warranty lasts two years{END}", "stop")), "warranty?")
    assert [(quote.document, quote.also) for quote in exchange.quotes] == [(1, (2, 3))]
    assert exchange.final is None
    assert exchange.notes == ("only 3 of 4 documents: no other passage shares a word with the question",)


def _fields(chunk: Chunk) -> dict[str, Any]:
    return {name: getattr(chunk, name) for name in Chunk.__slots__}


@pytest.mark.parametrize("early", [True, False])
def test_documents_that_do_not_fit_are_left_out_whole_from_the_end(library: Library, early: bool) -> None:
    all_of_them = ask(library, Parrot()).documents
    model = Parrot(room=2, early=early)
    exchange = ask(library, model)
    assert exchange.documents == all_of_them[:2]
    assert model.history[-1][-1].content == render_instruction(QUESTION, all_of_them[:2])
    assert len(model.history) == (1 if early else 3)
    assert exchange.notes == ("the last 2 of 4 documents were left out: the prompt was too long for the model",)
    with pytest.raises(ModelError, match="room for an answer, not even with one document"):
        ask(library, Parrot(room=0, early=early))


def test_without_a_passage_it_is_asked_and_said(library: Library) -> None:
    model = Parrot()
    exchange = ask(library, model, "Qwxyz?")
    assert exchange.documents == () and model.history == [(Message("user", "Qwxyz?"),)]
    assert exchange.notes == ("no passage shares a word with the question: asked without documents, from memory alone",)
    assert ask(library, Parrot(), count=0).notes == () == ask(library, Parrot(), count=0).documents
    with pytest.raises(ModelError, match="not even with none"):
        ask(library, Parrot(room=-1), "Qwxyz?")


def test_an_empty_question_is_refused(library: Library) -> None:
    with pytest.raises(ConfigError, match="the question is empty"):
        ask(library, Parrot(), " \n")


@pytest.mark.parametrize(
    ("said", "note"),
    [
        (Said("It is", "length"), "cut at its longest"),
        (Said("It is", "content_filter"), "'content_filter'"),
        (Said(f"{BEGIN}It is\n<ANSWER>: so", "stop"), "without a partner, or with nothing between them: 1"),
    ],
)
def test_what_is_odd_about_an_answer_is_noted(library: Library, said: Said, note: str) -> None:
    (found,) = ask(library, Parrot(said)).notes
    assert note in found
    assert ask(library, Parrot(Said("It is", "", "gone"))).notes == ()


def test_a_folder_without_passages_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="none: no such folder"):
        open_library(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"chunks.jsonl: no passages there .*raft generate"):
        open_library(tmp_path)
    (tmp_path / "chunks.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(DatasetError, match="not a file of passages"):
        open_library(tmp_path)


def write_facts(folder: Path, rows: str, chunks: str, **settings: object) -> Path:
    write_folder(folder, test=[], chunks=list(CORPUS.values()))
    write_json(folder / "manifest.json", {"files": {"train.jsonl": rows, "chunks.jsonl": chunks}, "settings": settings})
    return folder


def write_run(folder: Path, data: Path, trained: str, **more: object) -> Training:
    record = {"kind": "run", "data": {"path": str(data), "files": {"train.jsonl": trained}}, **more}
    write_json(folder / "manifest.json", record)
    return read_training(str(folder))


def test_there_are_as_many_documents_as_in_training(tmp_path: Path) -> None:
    plain = open_library(write_folder(tmp_path / "plain", test=[], chunks=list(CORPUS.values())))
    told = open_library(write_facts(tmp_path / "told", "r", "c", distractors=2))
    run = write_run(tmp_path / "run", tmp_path, "r", rows={"documents": 6.6}, prompt={"system": "Be brief."})
    counts = [choose_count(training, library) for training in (Training(), run) for library in (plain, told)]
    assert counts == [5, 3, 7, 7]
    assert run.system == "Be brief."
    for name in ("no folder", "endpoint:sim@http://localhost/v1"):
        assert read_training(name) == Training()
    write_json(tmp_path / "odd" / "manifest.json", {"rows": [], "prompt": {"system": None}, "data": "x"})
    assert read_training(str(tmp_path / "odd")) == Training()


def test_a_model_of_another_corpus_is_told_of(tmp_path: Path) -> None:
    """Rows are compared by hash; where they differ, the dataset of the run tells whether its passages are the same."""
    here = open_library(write_facts(tmp_path / "here", "rows 1", "passages 1"))
    others = {
        "same": write_facts(tmp_path / "same", "rows 2", "passages 1"),
        "other": write_facts(tmp_path / "other", "rows 3", "passages 2"),
        "changed": write_facts(tmp_path / "changed", "rows 4b", "passages 1"),
    }
    made = {
        "itself": write_run(tmp_path / "1", tmp_path / "gone", "rows 1"),
        "same": write_run(tmp_path / "2", others["same"], "rows 2"),
        "other": write_run(tmp_path / "3", others["other"], "rows 3"),
        "changed": write_run(tmp_path / "4", others["changed"], "rows 4"),
        "gone": write_run(tmp_path / "5", tmp_path / "gone", "rows 5"),
        "unknown": Training(),
    }
    told = {name: compare_corpora(training, here) for name, training in made.items()}
    assert {name for name, note in told.items() if note} == {"other", "changed", "gone"}
    assert str(others["other"]) in told["other"]
    unknown = open_library(write_folder(tmp_path / "unknown", test=[], chunks=list(CORPUS.values())))
    assert compare_corpora(made["other"], unknown) == ""
