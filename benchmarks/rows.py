"""What is left of RAFT rows that are too long: ours, TRL's preparation, LLaMA-Factory's rule; and the time of encoding.

python benchmarks/rows.py --rows 1000

The rows are made on the spot: five documents of 512 tokens, in English or Chinese, the oracle absent from a fifth. They
go through TRL's own code. LLaMA-Factory's rule is `infer_seqlen` of its src/llamafactory/data/processor/
processor_utils.py (v0.9), written down here because that package pins other versions than ours.
"""

import argparse
import copy
import json
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "train"))

from models import write_model

from raft_cli.cot import BEGIN, END
from raft_cli.model import load_student
from raft_cli.student import Student
from raft_cli.train.data.documents import read_documents
from raft_cli.train.data.pack import measure_fill, pack_rows
from raft_cli.train.data.source import read_dataset
from raft_cli.train.records import Row
from raft_cli.train.rows import encode_rows

CONTEXTS = (1024, 2048, 4096)
DOCUMENT, REASON, AMPLE = 512, 110, 1 << 30  # tokens of a document; of each of two pieces of reasoning
ROLES = ("oracle", "hard", "hard", "random", "random")


@dataclass(frozen=True)
class Kept:
    """What a row became: its tokens, the first of which `prompt` bear no loss."""

    ids: list[int]
    prompt: int


class Writer:
    """Writes sentences of made-up words, the same for the same seed."""

    def __init__(self) -> None:
        self.rng = random.Random("rows")
        syllables = [
            first + last for first in "b d f g k l m n p r s t v st tr".split() for last in "a e i o u er on".split()
        ]
        self.words = ["".join(self.rng.choices(syllables, k=self.rng.randint(1, 4))) for _ in range(4000)]
        characters = [chr(code) for code in range(0x4E00, 0x4E00 + 1500)]
        self.terms = ["".join(self.rng.choices(characters, k=self.rng.randint(1, 3))) for _ in range(3000)]

    def sentence(self, chinese: bool) -> str:
        """Return one sentence."""
        if chinese:
            return "".join(self.rng.choices(self.terms, k=self.rng.randint(6, 14))) + f"{self.rng.randint(2, 99)}。"
        words = self.rng.choices(self.words, k=self.rng.randint(8, 18))
        return " ".join(words).capitalize() + f" {self.rng.randint(2, 999)}. "

    def passage(self, tokens: int, chinese: bool, student: Student) -> str:
        """Return sentences that come to about so many tokens."""
        made: list[str] = []
        while tokens > 0:
            made.append(self.sentence(chinese))
            tokens -= student.count_tokens(made[-1:])[0]
        return "".join(made).strip()


def make_row(number: int, writer: Writer, student: Student) -> dict[str, Any]:
    """Return a native row."""
    rng, chinese = writer.rng, number % 3 == 0
    truth = writer.passage(DOCUMENT, chinese, student)
    roles = list(ROLES) if number % 5 else ["hard", "hard", "hard", "random", "random"]
    rng.shuffle(roles)
    texts = [truth if role == "oracle" else writer.passage(DOCUMENT, chinese, student) for role in roles]
    question = writer.sentence(chinese).strip() + "?"
    quote = truth[: rng.randint(60, 160) // (4 if chinese else 1)].strip() if "oracle" in roles else ""
    marked = f"{BEGIN}{quote}{END}" if quote else ""
    reasons = [writer.passage(round(rng.gauss(REASON, 30)), chinese, student) for _ in range(2)]
    return {
        "id": f"row{number}",
        "question": question,
        "context": {"sentences": [texts]},
        "oracle_context": truth,
        "instruction": "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in texts) + question,
        "cot_answer": f"{reasons[0]} {marked} {reasons[1]}\n<ANSWER>: {rng.randint(2, 999)}",
        "documents": [{"role": role} for role in roles],
        "oracle": [at for at, role in enumerate(roles) if role == "oracle"],
    }


def make_data(folder: Path, count: int) -> tuple[Path, Student]:
    """Write a model folder with a tokenizer for these words, and the rows."""
    writer = Writer()
    texts = [writer.sentence(number % 3 == 0) for number in range(6000)]
    student = load_student(write_model(folder / "model", "chatml", texts=texts, vocabulary=12_000))
    path = folder / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps(make_row(number, writer, student), ensure_ascii=False) + "\n")
    return path, student


def cut_like_llama_factory(prompt: int, answer: int, cutoff: int) -> tuple[int, int]:
    """Return how many tokens of prompt and answer `infer_seqlen` keeps, each from its start."""
    if answer * 2 < cutoff:
        most = cutoff
    elif prompt * 2 < cutoff:
        most = cutoff - prompt
    else:
        most = int(cutoff * (answer / (prompt + answer)))
    kept = min(most, answer)
    return min(max(cutoff - kept, 0), prompt), kept


class Trl:
    """TRL's own preparation of the same rows as conversational prompt and completion."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        import datasets
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
        from trl import SFTConfig, SFTTrainer

        datasets.disable_progress_bars()
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder / "model"))
        self.dataset = datasets.Dataset.from_list(
            [
                {
                    "row": at,
                    "prompt": [{"role": turn.role, "content": turn.content} for turn in row.messages],
                    "completion": [{"role": "assistant", "content": row.answer}],
                }
                for at, row in enumerate(rows)
            ]
        )
        self.args = SFTConfig(output_dir=str(folder / "out"), use_cpu=True, bf16=False, report_to="none")
        first = self.dataset.select([0])
        self.trainer = SFTTrainer(model, args=self.args, train_dataset=first, processing_class=self.tokenizer)

    def prepare(self, longest: int | None, *, packing: bool = False) -> Any:  # noqa: ANN401 - untyped library
        """Return the prepared dataset."""
        args = copy.copy(self.args)
        args.max_length = longest
        return self.trainer._prepare_dataset(self.dataset, self.tokenizer, args, packing, None, "train")

    def keep(self, longest: int | None) -> dict[int, Kept]:
        """Return what is left of each row."""
        prepared = self.prepare(longest)
        return {
            each["row"]: Kept(each["input_ids"], sum(label == -100 for label in each["labels"])) for each in prepared
        }

    def fill(self, longest: int) -> float:
        """Return the fill of its packs."""
        prepared = self.prepare(longest, packing=True)
        return sum(map(len, prepared["input_ids"])) / (len(prepared) * longest)


def count_whole(kept: dict[int, Kept], rows: Sequence[Row], student: Student, wanted: Callable[[Row], str]) -> float:
    """Return the share of rows (of those that have it) whose prompt holds a text whole."""
    asked = {at: text for at, row in enumerate(rows) if (text := wanted(row))}
    held = sum(asked[at] in student.decode(each.ids[: each.prompt]) for at, each in kept.items() if at in asked)
    return held / len(asked)


def find_oracle(row: Row) -> str:
    """Return the oracle document with its tags, or nothing when it is absent."""
    texts = read_documents(row.messages[-1].content)
    return f"<DOCUMENT>{texts[row.oracle[0]]}</DOCUMENT>" if row.oracle else ""


def find_question(row: Row) -> str:
    """Return the question."""
    return row.messages[-1].content.rpartition("</DOCUMENT>\n")[2]


def print_line(name: str, kept: dict[int, Kept], whole: int, rows: Sequence[Row], student: Student, fill: str) -> None:
    """Print one line of the table; `whole` are the supervised tokens of uncut rows."""
    supervised = {at: student.decode(each.ids[each.prompt :], keep_special=True) for at, each in kept.items()}
    answers = sum(text.strip() == rows[at].answer.strip() + student.end_token for at, text in supervised.items())
    tokens = sum(len(each.ids) - each.prompt for each in kept.values())
    shares = [
        answers / len(rows),
        count_whole(kept, rows, student, find_oracle),
        count_whole(kept, rows, student, find_question),
        tokens / whole,
        1 - len(kept) / len(rows),
    ]
    print(f"  {name:<32}" + "".join(f"{share:>10.1%}" for share in shares) + f"{fill:>10}", flush=True)


def compare(rows: Sequence[Row], student: Student, trl: Trl, budget: int) -> None:
    """Print the table."""
    full = encode_rows(rows, student, AMPLE).rows
    lengths = [each.length for each in full]
    ours_whole = sum(len(each.completion) for each in full)
    trl_whole = sum(len(each.ids) - each.prompt for each in trl.keep(None).values())
    default = trl.keep(1024)
    places = {row.id: at for at, row in enumerate(rows)}
    mean = sum(lengths) / len(rows)
    print(f"{len(rows):,} rows of {min(lengths):,} to {max(lengths):,} tokens, {mean:,.0f} on average\n")
    heads = ("answer", "oracle", "question", "loss tok.", "rows lost", "fill")
    for context in CONTEXTS:
        print(f"{f'context {context:,}':<34}" + "".join(f"{head:>10}" for head in heads))
        encoded = encode_rows(rows, student, context).rows
        ours = {places[each.id]: Kept([*each.prompt, *each.completion], len(each.prompt)) for each in encoded}
        sizes = [each.length for each in encoded]
        fill = measure_fill(pack_rows(sizes, budget), sizes, packed=True, budget=budget)
        print_line("raft", ours, ours_whole, rows, student, f"{fill:.1%}")
        print_line("trl, defaults (max_length 1024)", default, trl_whole, rows, student, "")
        print_line(
            f"trl, max_length {context}", trl.keep(context), trl_whole, rows, student, f"{trl.fill(context):.1%}"
        )
        cut = {
            at: cut_like_llama_factory(len(each.prompt), len(each.completion), context) for at, each in enumerate(full)
        }
        theirs = {
            at: Kept([*full[at].prompt[:prompt], *full[at].completion[:answer]], prompt)
            for at, (prompt, answer) in cut.items()
        }
        print_line(f"LLaMA-Factory, cutoff_len {context}", theirs, ours_whole, rows, student, "")
        print()
    print(f"fill: raft packs to {budget:,} tokens, trl (bfd) to max_length; both of the budget\n")


def clock(works: dict[str, Callable[[], object]], rows: int, repeat: int) -> dict[str, float]:
    """Let each work have its turns, print the best time of each, return the CPU seconds."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeat):
        for name, work in works.items():
            started, used = time.perf_counter(), time.process_time()
            work()
            times[name].append((time.process_time() - used, time.perf_counter() - started))
    for name, held in times.items():
        used, passed = min(held)
        print(f"  {name:<32}{rows / passed:>8,.0f} rows/s{used:>8.2f} s CPU{passed:>8.2f} s wall")
    return {name: min(held)[0] for name, held in times.items()}


def main() -> None:
    """Make the rows, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--budget", type=int, default=16_384, help="tokens of our packs")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--speed", action="store_true", help="the time of encoding only")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path, student = make_data(folder, options.rows)

        def read() -> list[Row]:
            return read_dataset(path, system="", validation_share=0, seed=1).train

        rows = read()
        trl = Trl(folder, rows)
        if not options.speed:
            compare(rows, student, trl, options.budget)
        print(f"encoding {len(rows):,} rows, best of {options.repeat}")
        works: dict[str, Callable[[], object]] = {
            "raft, reading the file": read,
            "raft, all rows fit": lambda: encode_rows(rows, student, AMPLE),
            "trl, max_length None": lambda: trl.prepare(None),
            "raft, fitting to 2,048": lambda: encode_rows(rows, student, 2048),
            "trl, max_length 2,048": lambda: trl.prepare(2048),
        }
        _, ours, theirs, fitting, cutting = clock(works, len(rows), options.repeat).values()
        print(f"  trl / raft: {theirs / ours:.1f} times the CPU seconds, {cutting / fitting:.1f} times at 2,048")


if __name__ == "__main__":
    main()
