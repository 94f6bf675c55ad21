"""How long `raft generate` keeps a teacher busy, and what a request costs, beside the bare client libraries.

python benchmarks/generate.py [--repeat 5] [--only raft,chat,sdk,aiohttp]
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from teacher import Teacher

ROOT = Path(__file__).resolve().parent.parent
POINTS = ((0.2, 64), (0.05, 256))  # seconds a reply, slots
DOCUMENTS, QUESTIONS = 200, 3
REQUESTS = DOCUMENTS * (1 + QUESTIONS)

_SYLLABLES = "bar cel dor fen gal hol kin lam mer nor pal quin ras sol tam ul ver wex yor zan".split()
_THINGS = ["".join(parts) for parts in itertools.permutations(_SYLLABLES, 3)][::3]  # 2,280 words that no text has
_DEEDS = "carries lowers drives marks feeds guards records replaces measures warms signals divides joins lifts".split()
_TRAITS = "copper northern narrow silent hollow amber wooden eastern double heavy gentle rusty polished steep".split()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one client.

    Attributes:
        window: Seconds from the first request to the last reply, by the teacher's clock.
        cpu: Processor seconds of the whole command; `busy` without start-up.
        memory: Highest resident size in MiB.
    """

    requests: int
    window: float
    wall: float
    cpu: float
    busy: float
    memory: float


def write_documents(count: int = DOCUMENTS) -> Iterator[str]:
    """Yield documents of one chunk each, no two alike."""
    for number in range(count):
        draw = random.Random(f"document {number}")
        lines = []
        for _ in range(14):
            one, other, third = draw.sample(_THINGS, 3)
            lines.append(
                f"The {draw.choice(_TRAITS)} {one} {draw.choice(_DEEDS)} the {other} for {draw.randint(2, 999)} hours "
                f"when the {draw.choice(_TRAITS)} {third} is at {draw.randint(2, 999)} degrees."
            )
        yield " ".join(lines)


def flat_requests() -> list[list[dict[str, str]]]:
    """Return the conversations of the clients that only send: as many as `raft generate` has, all known beforehand."""
    told = f"You write questions. Write exactly {QUESTIONS} questions. " * 8
    found = []
    for text in write_documents():
        asked = [f"<QUESTION>What about the {thing}?</QUESTION>" for thing in _THINGS[:QUESTIONS]]
        for rest in ("", *asked):
            user = f"<DOCUMENT>{text}</DOCUMENT>\n{rest}".strip()
            found.append([{"role": "system", "content": told}, {"role": "user", "content": user}])
    return found


Send = Callable[[list[dict[str, str]]], Awaitable[object]]


@asynccontextmanager
async def open_sdk(url: str, concurrency: int) -> "AsyncIterator[Send]":
    """The openai SDK as it comes."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key="x", base_url=url, max_retries=0) as client:
        create: Any = client.chat.completions.create
        yield lambda messages: create(model="sim", messages=messages, max_tokens=2048)


@asynccontextmanager
async def open_aiohttp(url: str, concurrency: int) -> "AsyncIterator[Send]":
    """Nothing but aiohttp and orjson."""
    import aiohttp
    import orjson

    headers = {"Content-Type": "application/json", "Authorization": "Bearer x"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def send(messages: list[dict[str, str]]) -> object:
            body = orjson.dumps({"model": "sim", "messages": messages, "max_tokens": 2048})
            async with session.post(f"{url}/chat/completions", data=body) as reply:
                return orjson.loads(await reply.read())

        yield send


@asynccontextmanager
async def open_chat(url: str, concurrency: int) -> "AsyncIterator[Send]":
    """Our chat layer: endpoint, pace and journal."""
    from raft_cli.chat.endpoint import Endpoint
    from raft_cli.chat.journal import Journal
    from raft_cli.chat.keys import find_access
    from raft_cli.chat.pace import Pace
    from raft_cli.chat.session import Caps, Session, Usage
    from raft_cli.data import Message, Sampling

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.sqlite")
        endpoint = Endpoint("sim", find_access(url, role="COMPLETION", env_file=".env"), timeout=600)
        pace = Pace(concurrency=concurrency)
        session = Session(endpoint, journal=journal, pace=pace, caps=Caps(), usage=Usage())

        async def send(messages: list[dict[str, str]]) -> object:
            turns = tuple(Message(turn["role"], turn["content"]) for turn in messages)
            return await session.complete(turns, Sampling(max_tokens=2048))

        yield send
        await endpoint.close()
        journal.close()


CLIENTS = {"chat": open_chat, "sdk": open_sdk, "aiohttp": open_aiohttp}
NAMES = {"raft": "raft generate", "chat": "our chat layer", "sdk": "openai create()", "aiohttp": "bare aiohttp"}


async def send_all(client: str, url: str, concurrency: int) -> None:
    """Send the flat requests, after one to warm up, and print the processor seconds; runs in a process of its own."""
    conversations = flat_requests()
    pending = iter(conversations)
    async with CLIENTS[client](url, concurrency) as send:

        async def work() -> None:
            for messages in pending:
                await send(messages)

        await send([*conversations[0], {"role": "user", "content": "warm up"}])
        urllib.request.urlopen(url.replace("/v1", "/admin/reset")).close()
        before = time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        print(json.dumps(time.process_time() - before))


def measure(command: list[str], teacher: "Teacher") -> tuple[Run, str]:
    """Run a command to its end and return what it took and what it printed."""
    teacher.reset()
    environment = {**os.environ, "OPENAI_API_KEY": "x", "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=complained)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        said.seek(0)
        complained.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{complained.read()[-2000:]}")
        seen, cpu = teacher.stats(), used.ru_utime + used.ru_stime
        return Run(seen.requests, seen.window, wall, cpu, cpu, used.ru_maxrss / 1024), said.read()


def run_client(client: str, teacher: "Teacher", concurrency: int, folder: Path) -> Run:
    """Measure one client once."""
    python = [sys.executable, "-m", "raft_cli", "generate", str(folder / "corpus")]
    if client != "raft":
        command = [sys.executable, __file__, "--client", client, "--url", teacher.url, "--slots", str(concurrency)]
        run, text = measure(command, teacher)
        return Run(run.requests, run.window, run.wall, run.cpu, json.loads(text), run.memory)
    flags = ["--teacher", "sim", "--base-url", teacher.url, "--questions", str(QUESTIONS), "--concurrency"]
    out = tempfile.mkdtemp(dir=folder)
    idle, _ = measure([*python, "-o", f"{out}/dry", *flags, str(concurrency), "--dry-run"], teacher)
    run, _ = measure([*python, "-o", f"{out}/data", *flags, str(concurrency)], teacher)
    return Run(run.requests, run.window, run.wall, run.cpu, run.cpu - idle.cpu, run.memory)


def middle(runs: list[Run]) -> Run:
    """Return the median of each figure."""
    return Run(*(statistics.median(getattr(run, name) for run in runs) for name in Run.__slots__))


def print_table(latency: float, slots: int, results: dict[str, list[Run]]) -> None:
    """Print one row a client."""
    ideal = REQUESTS * latency / slots
    print(f"\n{latency * 1000:.0f} ms a reply, {slots} slots; ideal window {ideal:.2f} s")
    head = f"{'client':16}{'requests':>9}{'window s':>10}{'of ideal':>10}{'wall s':>8}"
    print(f"{head}{'CPU ms/req':>12}{'busy':>7}{'MiB':>6}")
    for client, runs in results.items():
        run, each = middle(runs), 1000 / REQUESTS
        print(
            f"{NAMES[client]:16}{run.requests:9.0f}{run.window:10.3f}{run.window / ideal:9.2f}x{run.wall:8.2f}"
            f"{run.cpu * each:12.3f}{run.busy * each:7.3f}{run.memory:6.0f}"
            + ("" if run.requests == REQUESTS else f"  expected {REQUESTS} requests")
        )


def compare(clients: list[str], repeat: int) -> None:
    """Measure all clients in turn, so that a change of the machine's mood falls on all of them."""
    sys.path.insert(0, str(ROOT / "tests"))
    from teacher import Teacher

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        for number, text in enumerate(write_documents()):
            (folder / "corpus" / f"{number:03}.txt").write_text(f"{text}\n")
        for latency, slots in POINTS:
            results: dict[str, list[Run]] = {client: [] for client in clients}
            for _ in range(repeat):
                for client in clients:
                    with Teacher(latency=latency, slots=slots) as teacher:
                        results[client].append(run_client(client, teacher, slots, folder))
            print_table(latency, slots, results)
    told = "busy: CPU without start-up (raft: without what --dry-run takes)"
    print(f"\nMedian of {repeat}; {told}; load {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--slots", type=int, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.client:
        asyncio.run(send_all(told.client, told.url, told.slots))
    else:
        compare(told.only.split(","), told.repeat)


if __name__ == "__main__":
    main()
