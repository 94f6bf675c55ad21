"""The local teacher behaves as told: line, limits, modes, faults on the wire, log."""

import asyncio
import http.client
import json
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from teacher import Teacher
from teacher_replies import Job, good_reply

START = Callable[..., Teacher]
HARBOR = (
    "The Lyra controller keeps its logs for fourteen days and then overwrites them. "
    "Harbor pilots board every tanker at buoy seven before the tide turns. "
    "A copper lantern of the northern pier burns two litres of oil each night. "
    "Granite blocks from the quarry were shipped to the arsenal in 1823. "
    "The turbine reaches its full speed of 3.5 turns a second after ninety seconds."
)
GANG = "天琴控制器的日志保存十四天，之后自动覆盖。港口引航员在七号浮标登上每一艘油轮。北码头的铜灯每夜燃烧两升灯油。"


def ask_messages(document: str = HARBOR, count: int = 3) -> list[dict[str, str]]:
    told = f"Write exactly {count} questions, of these kinds in this order: factoid, reasoning.\n- procedural: no"
    user = f"<TITLE>Harbor</TITLE>\n<DOCUMENT>{document}</DOCUMENT>"
    return [{"role": "system", "content": told}, {"role": "user", "content": user}]


def answer_messages(question: str, document: str = HARBOR, more: str = "") -> list[dict[str, str]]:
    user = f"<DOCUMENT>{document}</DOCUMENT>\n<QUESTION>{question}</QUESTION>{more}"
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": user}]


QUESTION = json.loads(good_reply(Job("ask", (HARBOR,))))["questions"][0]["question"]
ANSWER = answer_messages(QUESTION)


def post(
    teacher: Teacher, messages: list[dict[str, str]], path: str = "/v1/chat/completions", key: str = "x", **fields: Any
) -> tuple[int, http.client.HTTPMessage, Any]:
    link = http.client.HTTPConnection("127.0.0.1", teacher.port, timeout=5)
    try:
        body = json.dumps({"model": "sim", "messages": messages, **fields})
        link.request("POST", path, body, {"Authorization": f"Bearer {key}"})
        reply = link.getresponse()
        raw = reply.read()
        return reply.status, reply.headers, json.loads(raw) if raw.startswith(b"{") else raw
    finally:
        link.close()


def said(body: dict[str, Any]) -> str:
    text = body["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


async def flood(teacher: Teacher, count: int, at_once: int = 1000) -> list[int]:
    """Send `count` different requests and return their statuses (0 for a broken connection)."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:

        async def send(number: int) -> int:
            body = {"model": "sim", "messages": ask_messages(f"{HARBOR} Number {number}.")}
            try:
                async with session.post(f"{teacher.url}/chat/completions", json=body) as reply:
                    await reply.read()
                    return reply.status
            except aiohttp.ClientError:
                return 0

        return await asyncio.gather(*(send(number) for number in range(count)))


def test_azure_paths_and_models(teacher: START) -> None:
    started = teacher(model="sim")
    assert post(started, ANSWER, "/openai/deployments/sim/chat/completions?api-version=2024-10-21")[0] == 200
    link = http.client.HTTPConnection("127.0.0.1", started.port, timeout=5)
    link.request("GET", "/v1/models")
    assert json.loads(link.getresponse().read())["data"][0]["id"] == "sim"
    link.close()
    assert started.requests()[0]["headers"]["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("settings", "fields", "status", "code"),
    [
        ({"auth": "right"}, {}, 401, "invalid_api_key"),
        ({"model": "other"}, {}, 404, "model_not_found"),
        ({"no_schema": True}, {"response_format": {"type": "json_object"}}, 400, None),
        ({"no_json_schema": True}, {"response_format": {"type": "json_schema"}}, 400, None),
        ({"no_json_schema": True}, {"response_format": {"type": "json_object"}}, 200, None),
        ({"no_max_tokens": True}, {"max_tokens": 9}, 400, "unsupported_parameter"),
        ({"no_max_tokens": True}, {"max_completion_tokens": 9}, 200, None),
        ({"no_temperature": True}, {"temperature": 0.5}, 400, "unsupported_value"),
    ],
)
def test_modes(teacher: START, settings: dict[str, Any], fields: dict[str, Any], status: int, code: str | None) -> None:
    got, _, body = post(teacher(**settings), ANSWER, **fields)
    assert got == status
    if status != 200:
        assert body["error"]["code"] == code and body["error"]["message"]


def test_keys_are_taken_either_way(teacher: START) -> None:
    started = teacher(auth="right", quota=1)
    assert post(started, ANSWER, key="right")[0] == 200
    status, _, body = post(started, ANSWER, key="right")
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")


def test_faults_in_the_envelope(teacher: START) -> None:
    started, seen = teacher(), {}
    for fault in ("429", "500", "html", "error200", "nousage", "filter", "finishfilter", "context", "refusal"):
        started.set(faults={fault: 1.0})
        seen[fault] = post(started, ANSWER)
    assert seen["429"][0] == 429 and seen["429"][1]["Retry-After"] == "1"
    assert seen["500"][0] == 500 and b"<html>" in seen["html"][2] and seen["html"][0] == 200
    assert "error" in seen["error200"][2] and "usage" not in seen["nousage"][2]
    assert [seen[fault][2]["error"]["code"] for fault in ("filter", "context")] == [
        "content_filter",
        "context_length_exceeded",
    ]
    assert seen["finishfilter"][2]["choices"][0]["finish_reason"] == "content_filter"
    assert seen["refusal"][2]["choices"][0]["message"]["refusal"]


def test_faults_on_the_wire(teacher: START) -> None:
    started = teacher(faults={"reset": 1.0})
    with pytest.raises(ConnectionResetError):
        post(started, ANSWER)
    started.set(faults={"cut": 1.0})
    with pytest.raises(http.client.IncompleteRead):
        post(started, ANSWER)
    started.set(faults={"cutjson": 1.0})
    with pytest.raises(json.JSONDecodeError):
        post(started, ANSWER)
    started.set(faults={"hang": 1.0})
    link = http.client.HTTPConnection("127.0.0.1", started.port, timeout=0.2)
    link.request("POST", "/v1/chat/completions", json.dumps({"model": "sim", "messages": ANSWER}))
    with pytest.raises(TimeoutError):
        link.getresponse()
    link.close()
    assert started.stats().counts == {"reset": 1, "cut": 1, "cutjson": 1, "hang": 1}
    assert started.log()[3].gone and started.log()[3].replied is None


def test_an_unknown_fault_is_named(teacher: START) -> None:
    with pytest.raises(ValueError, match="unknown fault 'rain'"):
        teacher(faults={"rain": 1.0})


def test_shares_do_not_depend_on_the_order(teacher: START) -> None:
    faults = {"429": 0.1, "500": 0.1, "few": 0.1}
    first, second = teacher(faults=faults), teacher(faults=faults, latency=0.02, sigma=0.5)
    asyncio.run(flood(first, 300))
    asyncio.run(flood(second, 300, at_once=7))
    assert {r.hash: r.fault for r in first.log()} == {r.hash: r.fault for r in second.log()}
    assert all(15 <= first.stats().counts[fault] <= 45 for fault in faults)


def test_faults_can_stop_after_some_tries(teacher: START) -> None:
    started = teacher(faults={"500": 1.0}, fault_attempts=2)
    assert [post(started, ANSWER)[0] for _ in range(3)] == [500, 500, 200]
    assert [record.attempt for record in started.log()] == [1, 2, 3]
    assert started.stats().bodies == 1


def test_slots_make_requests_wait(teacher: START) -> None:
    started = teacher(latency=0.05, slots=4)
    assert asyncio.run(flood(started, 20)) == [200] * 20
    stats = started.stats()
    assert 0.25 <= stats.window < 3 and stats.peak == 20 and stats.replies == 20
    assert 1 < stats.connections <= 20
    started.reset()
    assert started.stats().requests == 0


def test_the_bucket_refuses_what_is_too_fast(teacher: START) -> None:
    started = teacher(rate=1, burst=5, retry_after="2", headers=True)
    statuses = asyncio.run(flood(started, 20))
    assert 5 <= statuses.count(200) <= 8 and statuses.count(429) == 20 - statuses.count(200)
    status, headers, _ = post(started, ANSWER)
    assert headers["x-ratelimit-limit-requests"] == "5" and headers["x-ratelimit-remaining-requests"] == "0"
    assert status == 200 or headers["Retry-After"] == "2"
    started.set(rate=0.001, burst=1, retry_after="")
    assert [post(started, ANSWER)[1]["Retry-After"] for _ in range(2)] == [None, None]


def test_the_log_outlives_a_killed_client(teacher: START) -> None:
    started = teacher(latency=60)
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_teacher as t, teacher\n"
    code += f"s = teacher.Teacher(); s.port = {started.port}; t.post(s, t.ANSWER)"
    client = subprocess.Popen([sys.executable, "-c", code])
    while not started.stats().requests:
        time.sleep(0.02)
    client.send_signal(signal.SIGKILL)
    client.wait()
    while not started.log()[0].gone:
        time.sleep(0.02)
    assert [record.replied for record in started.log()] == [None]


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_tls(tmp_path: Path) -> None:
    paths = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    with Teacher(tls=paths) as started:
        trusting = ssl.create_default_context(cafile=paths[0])
        link = http.client.HTTPSConnection("127.0.0.1", started.port, timeout=5, context=trusting)
        link.request("POST", "/v1/chat/completions", json.dumps({"model": "sim", "messages": ANSWER}))
        assert link.getresponse().status == 200
        link.close()
        assert started.url.startswith("https://") and started.stats().requests == 1


def test_it_runs_from_the_command_line() -> None:
    command = [
        sys.executable,
        str(Path(__file__).with_name("teacher.py")),
        "--port",
        "0",
        "--fault",
        "500=1",
        "--slots",
        "2",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = Teacher()
        started.port = int(process.stdout.readline())
        assert post(started, ANSWER)[0] == 500
        process.terminate()
    assert process.returncode == 0
