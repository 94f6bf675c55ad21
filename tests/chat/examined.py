"""Models to be examined, made on the spot: random weights that listen to the whole prompt, and adapters on them."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model

from raft_cli.chat.journal import Journal
from raft_cli.chat.students import EndpointStudent, LocalStudent, open_students
from raft_cli.data import Message, Reply
from raft_cli.progress import Progress
from raft_cli.store import read_json, write_json
from raft_cli.train.tiny import write_tiny_model
from raft_cli.weights import hash_weights

QUIET = Progress(quiet=True)
Prompt = tuple[Message, ...]
Student = LocalStudent | EndpointStudent

_WORDS = "pump valve 水泵 of the 230 volts runs <DOCUMENT> seconds, and litres。 日志 保存 kept why? for\n".split(" ")


def write_model(folder: Path, *, seed: int = 0, ends: int = 60, context: int = 512) -> Path:
    """Write a model folder; each of `ends` tokens of its vocabulary ends a turn, so that answers differ in length."""
    write_tiny_model(folder, vocabulary=1024, context=context)
    described = read_json(folder / "config.json")
    described |= {"tie_word_embeddings": False, "initializer_range": 0.3}
    torch.manual_seed(seed)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**described))
    if not ends:  # it never ends, rather than seldom
        model.lm_head.weight.data[described["eos_token_id"]] = 0
    model.save_pretrained(folder)
    stops = random.Random(seed).sample(range(described["vocab_size"]), ends)
    write_json(folder / "generation_config.json", {"eos_token_id": [described["eos_token_id"], *stops]})
    return folder


def write_run(run: Path, base: Path, *, seed: int = 1, **config: Any) -> Path:
    """Write a finished run: an adapter that changes every layer, tokenizer, manifest."""
    run.mkdir()
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    settings = LoraConfig(**{"r": 4, "target_modules": "all-linear", "init_lora_weights": False, **config})
    get_peft_model(model, settings).save_pretrained(run)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(base / name, run / name)
    known = {"name": str(base), "path": str(base), "weights": hash_weights(base), "architecture": "LlamaForCausalLM"}
    write_json(run / "manifest.json", {"kind": "run", "complete": True, "base": known, "config": {"method": "lora"}})
    return run


def make_prompts(count: int, *, longest: int = 80) -> list[Prompt]:
    """Return prompts of different lengths, no two alike."""
    draw = random.Random("prompts")
    texts = (" ".join([str(number), *draw.choices(_WORDS, k=draw.randint(1, longest))]) for number in range(count))
    return [(Message("system", "Answer."), Message("user", text)) for text in texts]


def open_them(names: Sequence[object], journal: Path, **settings: Any) -> tuple[list[Student], Journal]:
    """Open models with a journal of its own file."""
    held = Journal(journal)
    given = {
        "device": "cpu",
        "dtype": "auto",
        "base": "",
        "batch_tokens": 0,
        "continuous": False,
        "trust_remote_code": False,
        "env_file": ".env",
        "timeout": 5.0,
        "concurrency": 8,
        **settings,
    }
    try:
        return open_students([str(name) for name in names], journal=held, **given), held
    except BaseException:
        held.close()
        raise


def answer_all(
    student: Student, prompts: Sequence[Prompt], *, max_tokens: int = 16, stop: Sequence[str] = ()
) -> list[Reply]:
    """Return the answers in the order of the prompts; each must come once."""
    kept: dict[int, Reply] = {}

    def keep(place: int, reply: Reply) -> None:
        assert place not in kept
        kept[place] = reply

    student.answer(prompts, max_tokens=max_tokens, stop=stop, keep=keep, progress=QUIET)
    return [kept[place] for place in range(len(prompts))]


def ask_them(
    names: Sequence[object], journal: Path, prompts: Sequence[Prompt], *, max_tokens: int = 16, **settings: Any
) -> list[list[Reply]]:
    """Return the answers of each model, asked one after the other."""
    students, held = open_them(names, journal, **settings)
    try:
        return [answer_all(student, prompts, max_tokens=max_tokens) for student in students]
    finally:
        held.close()
