"""Answers that are watched while they are written: the same words as unwatched, and never half a character."""

import itertools
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import END, Script, event, script, serve
from teacher import Teacher

from raft_cli.chat.events import Transcript, read_events
from raft_cli.chat.flow import Flow, Said, TooLong
from raft_cli.chat.streaming import EndpointStream, LocalStream, open_stream
from raft_cli.data import Message
from raft_cli.errors import ChatError, ConfigError, ModelError

PROMPT = (Message("system", "Answer."), Message("user", "How long does the pump run?"))
TEXT = "水泵运行 14 秒。🚰 Then\u2028it rests."


def open_endpoint(url: str, *, name: str = "sim", timeout: float = 5.0) -> EndpointStream:
    opened = open_stream(
        f"endpoint:{name}@{url}",
        base="",
        device="auto",
        dtype="auto",
        trust_remote_code=False,
        env_file=".env",
        timeout=timeout,
    )
    assert isinstance(opened, EndpointStream)
    return opened


def ask(model: EndpointStream, *, stop: Sequence[str] = ()) -> tuple[Said, list[str]]:
    pieces: list[str] = []
    return model.stream(PROMPT, max_tokens=50, stop=stop, say=pieces.append), pieces


def ask_script(*told: Script) -> tuple[Said, list[str]]:
    with serve(*told) as streams:
        return ask(open_endpoint(streams.url))


@given(st.text(alphabet=st.characters(exclude_characters="\ufffd", codec="utf-8")))
def test_no_half_character_is_passed_on(text: str) -> None:
    pieces: list[str] = []
    flow, raw = Flow(pieces.append), text.encode()
    for end in range(len(raw) + 1):
        flow.show(raw[:end].decode(errors="replace"))
    flow.end(text)
    assert "".join(pieces) == text and all(pieces)


def test_a_stop_string_is_never_seen_nor_what_only_begins_like_one() -> None:
    for text, kept in (("two</ANSWER>", "two"), ("two </ANS or three", "two </ANS or three"), ("a<</ANSWER", "a<")):
        pieces: list[str] = []
        flow = Flow(pieces.append, ["</ANSWER>"])
        for end in range(len(text)):
            flow.show(text[:end])
            assert kept.startswith("".join(pieces))
        flow.end(kept)
        assert "".join(pieces) == kept


def test_what_is_cut_in_a_character_ends_before_it() -> None:
    pieces: list[str] = []
    Flow(pieces.append).end("水\ufffd")
    assert pieces == ["水"]


@given(st.lists(st.integers(0, 400)))
def test_events_do_not_depend_on_how_bytes_come(cuts: list[int]) -> None:
    sent = b": alive\n\n" + event("水\u2028") + b'data:{"usage":{}}\r\n\r\n' + event("泵", finish="stop") + END
    borders = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    events = list(read_events(sent[a:b] for a, b in itertools.pairwise(borders)))
    heard = Transcript()
    for each in events:
        heard.take(each)
    assert (heard.text, heard.finish, heard.fault, len(events)) == ("水\u2028泵", "stop", "", 4)


def test_an_answer_comes_piece_by_piece() -> None:
    raw = b"".join(map(event, TEXT)) + event(finish="length") + END
    with serve(Script([raw[at : at + 7] for at in range(0, len(raw), 7)])) as streams:
        said, pieces = ask(open_endpoint(streams.url), stop=["</ANSWER>"])
        assert said == Said(TEXT, "length") and "".join(pieces) == TEXT and len(pieces) > 10
        assert streams.bodies == [
            {
                "model": "sim",
                "messages": [{"role": turn.role, "content": turn.content} for turn in PROMPT],
                "stream": True,
                "temperature": 0.0,
                "max_tokens": 50,
                "stop": ["</ANSWER>"],
            }
        ]


def test_halves_of_a_surrogate_pair_meet() -> None:
    halves = [json.dumps({"choices": [{"delta": {"content": half}}]}).encode() for half in ("a\ud83d", "\udeb0b")]
    said, pieces = ask_script(Script([*(b"data: " + half + b"\n\n" for half in halves), END]))
    assert said.text == "a🚰b" and pieces == ["a", "🚰b"]


def test_parts_refusals_and_words_of_the_server_are_read() -> None:
    parts = {"choices": [{"delta": {"content": [{"type": "text", "text": "No"}], "refusal": None}}]}
    refusal = {"choices": [{"delta": {"refusal": " way"}, "finish_reason": "content_filter"}]}
    said, _ = ask_script(Script([f"data: {json.dumps(each)}\n\n".encode() for each in (parts, refusal)]))
    assert said == Said("No way", "content_filter")


def test_a_server_that_does_not_stream_is_heard_as_well(teacher: Callable[..., Teacher]) -> None:
    said, pieces = ask(open_endpoint(teacher(reply="The pump runs.\n<ANSWER>: 14 s").url))
    assert said == Said("The pump runs.\n<ANSWER>: 14 s", "stop") and pieces == [said.text]


def test_what_a_server_does_not_take_is_left_out_from_then_on(teacher: Callable[..., Teacher]) -> None:
    server = teacher(reply="So.", no_temperature=True, no_max_tokens=True)
    model = open_endpoint(server.url)
    assert [ask(model)[0].text for _ in range(2)] == ["So.", "So."]
    bodies = [request["body"] for request in server.requests()]
    assert len(bodies) == 4 and bodies[-1] == bodies[-2]
    assert "temperature" not in bodies[-1] and bodies[-1]["max_completion_tokens"] == 50
    refusal = json.dumps({"error": {"message": "Unsupported parameter: 'stream' is not supported"}}).encode()
    whole = json.dumps({"choices": [{"message": {"content": "Whole."}, "finish_reason": "stop"}]}).encode()
    with serve(Script([refusal], status=400), Script([whole])) as streams:
        assert ask(open_endpoint(streams.url)) == (Said("Whole.", "stop"), ["Whole."])
        assert "stream" not in streams.bodies[1]


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (Script([event("It runs"), b'data: {"error": {"message": "out of memory"}}\n\n']), "the server: out of memory"),
        (Script([event("It runs")], cut=True), "the connection broke"),
        (Script([event("It runs")]), "the server ended before the answer did"),
        (Script([event("It runs"), b"data: {\n\n", END]), "no JSON"),
    ],
)
def test_what_arrived_before_a_fault_is_kept(told: Script, fault: str) -> None:
    said, pieces = ask_script(told)
    assert said.text == "".join(pieces) == "It runs" and said.finish == "" and fault in said.fault


def test_a_connection_that_breaks_after_the_end_takes_nothing_away() -> None:
    assert ask_script(Script([event("It runs", finish="stop")], cut=True))[0] == Said("It runs", "stop")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (Script([b'data: {"error": {"message": "overloaded"}}\n\n']), "the server: overloaded"),
        (Script([b'{"detail": "moved"}']), r"unknown form: '\{\"detail\""),
        (Script([b"<html>"]), "no JSON: '<html>'"),
        (Script([]), "the server said nothing"),
        (
            Script([b'{"error": {"message": "wrong key sk-abcdefghij"}}'], status=401),
            r"401: wrong key \*\*\*; set OPENAI",
        ),
        (Script([b"{}"], status=404), r"HTTP 404.*check the name of the model"),
        (Script([b'{"message": "teapot"}'], status=400), "HTTP 400: teapot"),
        (Script([b'{"message": "parameter stop: too many values"}'], status=400), "too many values"),
    ],
)
def test_without_any_answer_the_reason_is_an_error(told: Script, why: str) -> None:
    with pytest.raises(ChatError, match=why):
        ask_script(told)


def test_an_empty_answer_is_one() -> None:
    assert ask_script(script()) == (Said("", "stop"), [])


def test_a_silent_or_absent_server_is_named() -> None:
    with serve(script("late")) as streams:
        gone = streams.url
    with pytest.raises(ChatError, match=f"endpoint:sim@{gone}: no connection .*is the server running"):
        ask(open_endpoint(gone))


def test_a_server_that_falls_silent_is_given_up() -> None:
    wait = threading.Event()
    with serve(Script([event("It runs"), END], wait=wait)) as streams:
        said, _ = ask(open_endpoint(streams.url, timeout=1.0))
        wait.set()
    assert said == Said("It runs", "", "nothing came for 1 s (--timeout)")


def test_a_prompt_too_long_for_a_server_is_said_to_be() -> None:
    refusal = b'{"error": {"message": "This model\'s maximum context length is 2048 tokens."}}'
    with pytest.raises(TooLong, match="maximum context length is 2048"):
        ask_script(Script([refusal], status=400))


def test_names_of_endpoints() -> None:
    model = open_endpoint("http://localhost:8000/v1", name="@cf/meta/llama")
    assert model.name == "endpoint:@cf/meta/llama@http://localhost:8000/v1"
    assert model.render(PROMPT, max_tokens=1) == "[system]\nAnswer.\n\n[user]\nHow long does the pump run?"
    for wrong in ("endpoint:", "endpoint:model@localhost:8000", "endpoint:@http://localhost:8000/v1"):
        with pytest.raises(ConfigError, match="endpoint:MODEL@http://HOST:PORT/v1"):
            open_stream(wrong, base="", device="", dtype="", trust_remote_code=False, env_file=".env", timeout=1.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
class TestInThisProcess:
    """A model of random weights: what it says is noise, which has half characters of its own."""

    @pytest.fixture(scope="class")
    def folders(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        pytest.importorskip("torch")
        pytest.importorskip("peft")
        from examined import write_model, write_run

        base = write_model(tmp_path_factory.mktemp("models") / "base")
        return base, write_run(tmp_path_factory.mktemp("runs") / "run", base)

    def open(self, folder: Path) -> LocalStream:
        opened = open_stream(
            str(folder), base="", device="cpu", dtype="auto", trust_remote_code=False, env_file=".env", timeout=1.0
        )
        assert isinstance(opened, LocalStream)
        return opened

    @pytest.mark.parametrize("tuned", [False, True])
    def test_the_words_are_those_of_the_batched_path(
        self, folders: tuple[Path, Path], tmp_path: Path, tuned: bool
    ) -> None:
        from examined import answer_all, make_prompts, open_them

        prompts = make_prompts(8)
        (student,), journal = open_them([folders[tuned]], tmp_path / "journal.sqlite")
        free = answer_all(student, prompts, max_tokens=24)
        stop = next(reply.text[4:6] for reply in free if len(reply.text) > 12 and "\ufffd" not in reply.text[4:6])
        model = self.open(folders[tuned])
        several = 0
        for stops, replies in (((), free), ((stop,), answer_all(student, prompts, max_tokens=24, stop=[stop]))):
            for prompt, reply in zip(prompts, replies, strict=True):
                pieces: list[str] = []
                said = model.stream(prompt, max_tokens=24, stop=stops, say=pieces.append)
                assert (said.text, said.finish, said.fault) == (reply.text, reply.finish, "")
                assert "".join(pieces) == reply.text.rstrip("\ufffd")
                several += len(pieces) > 1
        journal.close()
        assert several > 4 and {reply.finish for reply in free} == {"stop", "length"}

    def test_nothing_is_cut_to_fit(self, folders: tuple[Path, Path]) -> None:
        model = self.open(folders[0])
        long = (Message("user", "pump " * 500),)
        with pytest.raises(TooLong, match=r"no room for an answer in the context of .*, 512 tokens"):
            model.render(long, max_tokens=8)
        with pytest.raises(TooLong):
            model.stream(long, max_tokens=8, stop=(), say=lambda piece: pytest.fail(piece))
        assert "How long" in model.render(PROMPT, max_tokens=10_000)  # a quarter of the context is enough room
        model.stream(PROMPT, max_tokens=10_000, stop=(), say=lambda piece: None)

    def test_what_is_no_model_is_an_error_for_people(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        with pytest.raises(ModelError, match="no such folder"):
            self.open(tmp_path / "none")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "metrics.jsonl").touch()
        with pytest.raises(ModelError, match="not finished"):
            self.open(tmp_path / "run")
