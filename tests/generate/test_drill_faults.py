"""Each way in which a server or a model can misbehave: the right exit code, the right reason, no wrong row."""

import shutil
import ssl
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from teacher import Teacher
from test_drill_plain import (
    QUESTIONS,
    START,
    check_account,
    complete,
    count_journaled,
    read_lines,
    read_manifest,
    reasons,
    run,
    write_corpus,
)

DOCUMENTS = 8
ASKED = DOCUMENTS * QUESTIONS
TOTAL = DOCUMENTS * (1 + QUESTIONS)

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def corpus(alone: None) -> None:
    write_corpus(range(DOCUMENTS))


STORM = {"429": 0.05, "500": 0.02, "reset": 0.01, "cut": 0.01, "malformed": 0.02, "truncated": 0.01, "refusal": 0.01}


def test_a_storm_costs_some_rows_and_little_time(teacher: START) -> None:
    write_corpus(range(32))
    clean, storm = teacher(latency=0.15), teacher(latency=0.15, faults=STORM, retry_after="1")
    complete(clean, "--concurrency", 8, out="clean")
    done = complete(storm, "--concurrency", 8)
    check_account()
    counts, struck = read_manifest()["counts"], storm.stats()
    assert counts["pending"] == 0 and counts["questions"] > 0.9 * 32 * QUESTIONS
    assert sum(struck.counts[fault] for fault in ("429", "500", "malformed")) > 4
    assert struck.window < 2.5 * clean.stats().window, done.error


@pytest.mark.parametrize(("rate", "documents"), [(40.0, 16), (5.0, 4)])
def test_a_rate_limit_costs_no_row(teacher: START, rate: float, documents: int) -> None:
    shutil.rmtree("corpus")
    write_corpus(range(documents))
    started = teacher(rate=rate, burst=1, latency=0.02)
    complete(started, "--concurrency", 64, "--distractors", 1)
    counts = read_manifest()["counts"]
    assert counts["questions"] == counts["planned"] == documents * QUESTIONS
    assert started.stats().window < 3 * started.stats().bodies / rate + 10


# What the model or the server does to some of the requests, and the reasons that rejected.jsonl then gives.
WRONG: list[tuple[dict[str, float], set[str]]] = [
    (
        dict.fromkeys(["answer:malformed", "answer:notag", "answer:twotags", "answer:badquote"], 0.15),
        {"no-answer-tag", "several-answer-tags", "quote-not-found"},
    ),
    (
        dict.fromkeys(["ask:malformed", "ask:few", "ask:repeat"], 0.25),
        {"malformed-questions", "too-few-questions", "repeated-question"},
    ),
    (
        dict.fromkeys(["truncated", "reasoning", "refusal", "empty", "filter", "finishfilter", "context"], 0.09),
        {"truncated", "refusal", "empty", "content-filter", "context-length"},
    ),
]


@pytest.mark.parametrize(("faults", "named"), WRONG)
def test_what_is_wrong_twice_is_named_and_the_rest_is_kept(
    teacher: START, faults: dict[str, float], named: set[str]
) -> None:
    write_corpus(range(24))
    started = teacher(faults=faults)
    complete(started)
    check_account()
    assert set(reasons()) >= named and read_manifest()["counts"]["pending"] == 0
    assert {fault.rpartition(":")[2] for fault in faults} < set(started.stats().counts)
    assert count_journaled() == started.stats().requests  # what is refused is not asked again either


def test_if_no_reply_is_usable_the_run_fails_and_says_why(teacher: START) -> None:
    started = teacher(faults={"answer:notag": 1.0})
    done = run(started)
    assert done.code == 1 and f"{ASKED} no-answer-tag" in done.error and "rejected.jsonl" in done.error
    assert "Traceback" not in done.error and not Path("out/manifest.json").exists()
    assert reasons() == {"no-answer-tag": ASKED}
    assert started.stats().requests == DOCUMENTS + 2 * ASKED  # each is asked twice, the second time with its fault
    started.reset()
    assert run(started).code == 1 and started.stats().requests == 0


def test_retrying_what_was_rejected_asks_that_alone(teacher: START) -> None:
    started = teacher(faults={"answer:badquote": 0.5, "ask:few": 0.3})
    complete(started)
    rejected = sum(reasons().values())
    assert rejected > 2
    started.reset()
    started.set(faults={})
    complete(started, "--retry-rejected")
    assert not reasons() and read_manifest()["counts"]["questions"] == ASKED
    assert 0 < started.stats().requests <= 2 * rejected
    started.reset()
    complete(started)
    assert started.stats().requests == 0 and not reasons()


@pytest.mark.parametrize(
    "faults", [{"answer:nearquote": 1.0, "ask:prose": 1.0}, {"answer:think": 1.0, "ask:fenced": 1.0}, {"nousage": 1.0}]
)
def test_what_can_be_put_right_costs_no_row(teacher: START, faults: dict[str, float]) -> None:
    started = teacher(faults=faults)
    done = complete(started)
    counts = read_manifest()["counts"]
    assert counts["questions"] == ASKED and started.stats().requests == TOTAL
    assert counts["repaired_quotes"] == (ASKED if "answer:nearquote" in faults else 0)
    assert ("sent no token counts" in done.out) == ("nousage" in faults)
    assert "<think>" not in Path("out/train.jsonl").read_text()


def test_what_passes_is_tried_again(teacher: START) -> None:
    passing = ["html", "error200", "cutjson", "cut", "reset", "500"]
    started = teacher(faults=dict.fromkeys(passing, 1 / 6), fault_attempts=1)
    complete(started)
    assert read_manifest()["counts"]["questions"] == ASKED and count_journaled() == TOTAL
    assert set(passing) < set(started.stats().counts)


def test_a_server_that_hangs_is_asked_again(teacher: START) -> None:
    started = teacher(faults={"hang": 0.1})
    complete(started, "--timeout", 1)
    assert read_manifest()["counts"]["questions"] == ASKED and started.stats().counts["hang"] > 0


def test_what_never_passes_stays_pending_and_is_not_lost(teacher: START) -> None:
    shutil.rmtree("corpus")
    write_corpus(range(4))
    started = teacher(faults={"answer:500": 0.75})
    first = run(started, "--distractors", 1)
    assert first.code == 3 and "pending because requests kept failing" in first.error and "HTTP 500" in first.error
    kept = count_journaled()
    assert not read_manifest()["complete"] and read_manifest()["counts"]["pending"] == 16 - kept
    check_account()
    started.reset()
    started.set(faults={})
    complete(started, "--distractors", 1)
    assert started.stats().requests == 16 - kept and read_manifest()["complete"]


def test_what_a_server_does_not_support_is_found_out_once(teacher: START) -> None:
    started = teacher(no_schema=True, no_max_tokens=True, no_temperature=True, latency=0.05)
    done = complete(started, "--concurrency", 4, "--temperature", 0.3)
    refused = started.stats().counts["400"]
    assert 4 <= refused <= 16 and started.stats().requests == TOTAL + refused
    assert "replies without JSON mode" in done.out and "temperature not supported, left out" in done.out
    assert read_manifest()["counts"]["questions"] == ASKED
    started.reset()
    write_corpus(["new"])
    complete(started, "--concurrency", 4, "--temperature", 0.3)
    assert started.stats().counts == {"200": 1 + QUESTIONS}


def test_a_wrong_key_stops_at_once(teacher: START) -> None:
    write_corpus(range(60))
    started = teacher(auth="right", latency=0.05)
    done = run(started, "--concurrency", 16, OPENAI_API_KEY="sk-wrong-key-1234")
    stats = started.stats()
    assert done.code == 1 and "OPENAI_API_KEY" in done.error and "401" in done.error
    assert stats.requests <= 16 and stats.window < 2
    complete_with_key = run(started, "--concurrency", 16, OPENAI_API_KEY="right")
    assert complete_with_key.code == 0, complete_with_key.error


def test_an_unknown_model_stops_at_once(teacher: START) -> None:
    started = teacher(model="another")
    done = run(started, "--concurrency", 4)
    assert done.code == 1 and "--teacher" in done.error and "`sim` does not exist" in done.error
    assert started.stats().requests <= 4


def test_an_empty_account_stops_the_run_until_it_is_filled(teacher: START) -> None:
    started = teacher(quota=10, latency=0.02)
    done = run(started, "--concurrency", 4)
    assert done.code == 3 and "quota is used up" in done.error and "run the same command to go on" in done.error
    assert 10 <= count_journaled() <= 13  # those under way when the account ran empty
    started.set(quota=0)
    complete(started, "--concurrency", 4)
    assert count_journaled() == TOTAL == started.stats().counts["200"]


def test_nobody_there() -> None:
    done = run("http://127.0.0.1:9/v1")
    assert done.code == 1 and "cannot be reached" in done.error and "--base-url" in done.error and done.seconds < 20


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_a_certificate_nobody_vouches_for(tmp_path: Path) -> None:
    paths = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    assert ssl.create_default_context(cafile=paths[0])
    with Teacher(tls=paths) as started:
        done = run(started)
        assert done.code == 1 and "SSL_CERT_FILE" in done.error and "certificate" in done.error.lower()
        assert done.seconds < 10 and started.stats().requests == 0
        trusting = run(started, SSL_CERT_FILE=paths[0])
        assert trusting.code == 0, trusting.error


def test_the_judge_has_the_last_word(teacher: START) -> None:
    started = teacher(faults={"judge:unsupported": 0.3})
    complete(started, "--judge", "sim")
    check_account()
    assert reasons()["not-supported"] > 0
    jobs = Counter(record.job for record in started.log())
    assert jobs["judge"] >= ASKED and {question["kind"] for question in read_lines("out/questions.jsonl")}
