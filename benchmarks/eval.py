"""How fast students answer: batches beside one prompt at a time in this process, and a server beside the ideal.

    python benchmarks/eval.py [--questions 48] [--repeat 3]
    python benchmarks/eval.py --endpoint
    python benchmarks/eval.py --score             # 2,000 answers on file: from the command to the written report

The model is made on the spot: 10 million random weights, answers of different lengths. Prompts have no document (some
40 tokens), five documents (some 980), or are those of `raft eval` as it is by default. The server takes 200 ms a reply
in 64 slots.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from generate import write_documents  # noqa: E402
from teacher import Teacher  # noqa: E402

from raft_cli.chat.answers import sample_greedily  # noqa: E402
from raft_cli.chat.journal import Journal, hash_request  # noqa: E402
from raft_cli.chat.remote import EndpointStudent  # noqa: E402
from raft_cli.chat.students import LocalStudent, open_students  # noqa: E402
from raft_cli.config.evaluate import EvalConfig  # noqa: E402
from raft_cli.cot import BEGIN, END, render_answer  # noqa: E402
from raft_cli.data import Chunk, Example, Message, Question, Quote, Reply, Role  # noqa: E402
from raft_cli.evaluate.examine import STOP  # noqa: E402
from raft_cli.evaluate.prepare import prepare_exam  # noqa: E402
from raft_cli.evaluate.run import evaluate_models  # noqa: E402
from raft_cli.generate.formats import build_row  # noqa: E402
from raft_cli.progress import Progress  # noqa: E402
from raft_cli.store import read_json, write_json, write_lines  # noqa: E402
from raft_cli.train.tiny import write_tiny_model  # noqa: E402

HIDDEN, LAYERS, LIMIT = 320, 8, 256
HEADS = {"num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 64}  # shared as in models of today
ENDS = 8  # tokens of 2,048 that end a turn: an answer has some 150, as a chain of thought with its quotes
MIXES = {"no document": (0,), "five documents": (5,), "the four conditions of quick": (0, 1, 5, 5)}
LATENCY, SLOTS = 0.2, 64
PASSAGES, QUESTIONS = 1000, 250  # and four conditions, two models: 2,000 answers
Prompts = list[tuple[Message, ...]]


def write_model(folder: Path) -> Path:
    """Write the model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    write_tiny_model(folder, hidden=HIDDEN, layers=LAYERS)
    described = read_json(folder / "config.json") | {"tie_word_embeddings": False, "initializer_range": 0.2} | HEADS
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**described))
    model.save_pretrained(folder)
    ends = random.Random("ends").sample(range(described["vocab_size"]), ENDS)
    write_json(folder / "generation_config.json", {"eos_token_id": ends})
    print(f"{model.num_parameters() / 1e6:.1f} million weights, {torch.get_num_threads()} threads")
    return folder


def make_prompts(count: int, documents: int, start: int = 0) -> Prompts:
    """Return questions with so many documents before each, others for another start: equal ones are asked once."""
    texts = [text[:400] for text in write_documents(start + count + documents)][start:]
    prompts: Prompts = []
    for number in range(count):
        shown = "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in texts[number : number + documents])
        prompts.append((Message("user", f"{shown}What about {texts[number][:60]}?"),))
    return prompts


def open_student(name: str, folder: Path, **settings: Any) -> tuple[LocalStudent | EndpointStudent, Journal]:
    """Open a model with a journal of its own."""
    journal = Journal(Path(tempfile.mkdtemp(dir=folder)) / "journal.sqlite")
    given: dict[str, Any] = {"device": "cpu", "dtype": "auto", "batch_tokens": 0, "concurrency": SLOTS, **settings}
    (student,) = open_students(
        [name],
        journal=journal,
        base="",
        continuous=False,
        trust_remote_code=False,
        env_file=".env",
        timeout=60,
        **given,
    )
    return student, journal


def answer(student: LocalStudent | EndpointStudent, prompts: Prompts) -> list[Reply]:
    """Return the answers in order."""
    kept: dict[int, Reply] = {}
    student.answer(prompts, max_tokens=LIMIT, stop=["</ANSWER>"], keep=kept.__setitem__, progress=Progress(quiet=True))
    return [kept[place] for place in range(len(prompts))]


def answer_ours(model: Path, prompts: Prompts, folder: Path, batch_tokens: int) -> tuple[float, list[int]]:
    """Return seconds and the lengths of the answers."""
    student, journal = open_student(str(model), folder, batch_tokens=batch_tokens)
    answer(student, [(Message("user", "warm up"),)])
    started = time.perf_counter()
    replies = answer(student, prompts)
    seconds = time.perf_counter() - started
    journal.close()
    return seconds, [reply.completion_tokens for reply in replies]


def answer_plainly(model: Path, prompts: Prompts) -> tuple[float, list[int]]:
    """Return the same for `generate` of transformers, one prompt at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network: Any = AutoModelForCausalLM.from_pretrained(model).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    lengths = []
    started = time.perf_counter()
    for (message,) in prompts:
        turns = [{"role": "user", "content": message.content}]
        asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            said = network.generate(
                **asked, max_new_tokens=LIMIT, do_sample=False, pad_token_id=0, eos_token_id=_ends(model)
            )
        lengths.append(said.shape[1] - asked["input_ids"].shape[1])
    return time.perf_counter() - started, lengths


def _ends(model: Path) -> list[int]:
    from raft_cli.model import load_student

    return [*read_json(model / "generation_config.json")["eos_token_id"], load_student(model).end_id]


def compare_local(questions: int, repeat: int) -> None:
    """Print a row for each way and condition."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_model(folder / "model")
        for title, counts in MIXES.items():
            share = questions // len(counts)
            prompts = [
                prompt for at, documents in enumerate(counts) for prompt in make_prompts(share, documents, at * share)
            ]
            assert len(set(prompts)) == len(prompts)
            ways: dict[str, Callable[[Prompts], tuple[float, list[int]]]] = {
                "generate(), one by one": lambda asked: answer_plainly(model, asked),
                "ours, one by one": lambda asked: answer_ours(model, asked, folder, 1),
                "ours, in batches": lambda asked: answer_ours(model, asked, folder, 0),
            }
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            lengths: list[list[int]] = []
            for _ in range(repeat):
                for way, run in ways.items():
                    took, said = run(prompts)
                    seconds[way].append(took)
                    lengths.append(said)
            same = all(each == lengths[0] for each in lengths)
            slowest, tokens = statistics.median(seconds["generate(), one by one"]), sum(lengths[0])
            print(f"\n{title}: {len(prompts)} prompts, {tokens:,} tokens of answers; equal lengths: {same}")
            for way, each in seconds.items():
                took = statistics.median(each)
                print(f"{way:24}{took:8.2f} s{tokens / took:9,.0f} tokens/s{slowest / took:7.2f} x")


def compare_endpoint(questions: int) -> None:
    """Print the window from the first request to the last reply beside the ideal."""
    with tempfile.TemporaryDirectory() as name, Teacher(latency=LATENCY, slots=SLOTS) as teacher:
        student, journal = open_student(f"endpoint:sim@{teacher.url}", Path(name))
        before = time.process_time()
        answer(student, make_prompts(questions, 5))
        cpu, seen, ideal = time.process_time() - before, teacher.stats(), questions * LATENCY / SLOTS
        journal.close()
        print(
            f"{seen.requests} requests in {seen.window:.2f} s: {seen.window / ideal:.2f} x of {ideal:.2f} s; "
            f"{1000 * cpu / questions:.2f} ms of CPU a request; peak {seen.peak}"
        )


def write_exam(folder: Path) -> None:
    """Write a dataset: passages of about 330 words, 250 test questions with a reference that quotes."""
    draw = random.Random("exam")
    words = ["".join(draw.choices("aeioubdfgklmnprst", k=draw.randint(2, 9))) for _ in range(4000)]
    chunks, rows = [], []
    for number in range(PASSAGES):
        facts = [
            f"The {draw.choice(words)} of unit {number}-{part} takes {draw.randint(10, 9999)} "
            f"{' '.join(draw.choices(words, k=26))}."
            for part in range(10)
        ]
        text = " ".join(facts)
        chunks.append(
            Chunk(
                f"c{number:05}",
                f"d{number % 90}",
                number,
                text,
                0,
                len(text),
                (),
                None,
                512,
                f"{number % 90}.md",
                "",
                "en",
            )
        )
    for number in range(QUESTIONS):
        oracle = chunks[number]
        fact = oracle.text.split(". ")[3] + "."
        final, start = fact.split("takes ")[1].split(" ")[0], oracle.text.index(fact)
        others = draw.sample([chunk for chunk in chunks if chunk is not oracle], 4)
        example = Example(
            f"t{number:05}",
            Question(f"q{number:05}", (oracle.id,), f"How long does {fact[4:].split(' takes')[0]} take?", "factoid"),
            (oracle, *others),
            (Role.ORACLE, *[Role.RANDOM] * 4),
            (0,),
            render_answer(f"It says {BEGIN}{fact}{END}. So it is known.", final),
            (Quote(fact, oracle.id, start, start + len(fact)),),
            final,
        )
        rows.append(build_row(example, oracle.text, "en"))
    write_lines(folder / "chunks.jsonl", chunks)
    write_lines(folder / "test.jsonl", rows)


def fill_journal(data: Path, config: EvalConfig, journal: Path) -> int:
    """Put an answer to every prompt on file: one model quotes the oracle, one rambles and misquotes."""
    prepared, held = prepare_exam(data, config), Journal(journal)
    students = open_students(
        [config.model, config.baseline], journal=held, device="cpu", dtype="auto", base="", batch_tokens=0,
        continuous=None, trust_remote_code=False, env_file=".env", timeout=60, concurrency=8,
    )  # fmt: skip
    sampling, draw, count = sample_greedily(LIMIT, STOP), random.Random("said"), 0
    items = {item.id: item for item in prepared.exam.items}
    for student, way in zip(students, (config.prompt, config.baseline_prompt), strict=True):
        for case in prepared.cases.cases:
            item = items[case.item_id]
            said = item.reference
            if student is students[1]:
                shown = [word for chunk in case.documents for word in chunk.text.split()] or ["nothing"]
                said = (
                    f"I think {' '.join(draw.choices(shown, k=80))} {BEGIN}{' '.join(draw.choices(shown, k=20))}{END}"
                )
                if case.documents:
                    passage = draw.choice(case.documents).text.split()[40:65]
                    missed = " ".join([*passage[:10], *passage[11:]])
                    said += f" and {BEGIN}{missed}{END} so\n<ANSWER>: {draw.choice(shown)}"
            prompt = prepared.asking.render(item, case, way)
            held.put(hash_request(student.identity, prompt, sampling), Reply(said, "stop", 3000, 120), b"")
            count += 1
    held.close()
    return count


def score_answers() -> None:
    """Print how long answers on file take from the command to the written report, by stage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_exam(folder / "data")
        config = EvalConfig(
            model="endpoint:tuned@http://127.0.0.1:9/v1", baseline="endpoint:base@http://127.0.0.1:9/v1",
            baseline_prompt="plain", max_tokens=LIMIT, limit=0, answers=str(folder / "answers.sqlite"),
        )  # fmt: skip
        count = fill_journal(folder / "data", config, folder / "answers.sqlite")
        before, cpu = time.perf_counter(), time.process_time()
        results = evaluate_models(folder / "data", folder / "report", config, Progress(quiet=True))
        took, used = time.perf_counter() - before, time.process_time() - cpu
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in results.seconds.items())
        sizes = ", ".join(
            f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in sorted((folder / "report").iterdir())
        )
        print(f"{count:,} answers scored and reported in {took:.1f} s ({used:.1f} s of CPU): {stages}")
        print(f"asked {sum(each.asked for each in results.examinees)}; {sizes}\n{results.verdict}")


def main() -> None:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--endpoint", action="store_true", help="measure a server instead")
    parser.add_argument("--score", action="store_true", help="measure grading and reporting instead")
    told = parser.parse_args()
    if told.score:
        score_answers()
    elif told.endpoint:
        compare_endpoint(1000)
    else:
        compare_local(told.questions, told.repeat)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
