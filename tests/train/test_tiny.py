"""The tiny model loads as any other, is the same each time, and says that it is of no use."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from raft_cli.cot import BEGIN, END, TAG
from raft_cli.data import Message
from raft_cli.errors import ConfigError, DatasetError, MissingExtra
from raft_cli.model import find_model, load_student
from raft_cli.train.tiny import PAD, SMOKE_KEY, START, STOP, TinyModel, write_tiny_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FILES = (
    "README.md chat_template.jinja config.json generation_config.json model.safetensors tokenizer.json "
    "tokenizer_config.json"
).split()
MARKS = (BEGIN, END, TAG, "<DOCUMENT>", "</DOCUMENT>")
ASKED = (
    Message("system", "Answer from the documents."),
    Message("user", "<DOCUMENT>网关 keeps “12” days — é 🙂</DOCUMENT>\n  How long?\n"),
)
SAID = f"It says {BEGIN}12 days{END}.\n{TAG} 12 days"

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries, of their own parts
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "deep" / "tiny")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_it_is_whole_small_and_says_what_it_is(tiny: TinyModel) -> None:
    assert sorted(path.name for path in tiny.path.iterdir()) == FILES
    assert [path.name for path in tiny.path.parent.iterdir()] == ["tiny"]
    assert sum(path.stat().st_size for path in tiny.path.iterdir()) < 2_000_000
    folder = find_model(str(tiny.path), weights=True)
    assert folder.config[SMOKE_KEY] is True and folder.config["max_position_embeddings"] == tiny.context == 8192
    said = (tiny.path / "README.md").read_text(encoding="utf-8")
    assert f"{tiny.parameters:,} random weights" in said and "mean nothing" in said and f"{tiny.vocabulary:,}" in said
    assert "{" not in said


def test_transformers_loads_it_and_it_generates(tiny: TinyModel) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny.path, local_files_only=True)
    assert model.num_parameters() == tiny.parameters and model.dtype == torch.float32
    assert getattr(model.config, SMOKE_KEY) is True
    assert model.lm_head.weight is model.model.embed_tokens.weight
    student = load_student(tiny.path)
    assert model.generation_config.eos_token_id == student.end_id
    ids = torch.tensor([student.encode_prompt(ASKED)])
    assert model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=4).shape[1] > ids.shape[1]
    logits = model(ids).logits
    assert logits.shape == (1, ids.shape[1], tiny.vocabulary) and torch.isfinite(logits).all()


def test_all_ways_to_read_its_tokenizer_give_equal_ids(tiny: TinyModel) -> None:
    plain, exact = load_student(tiny.path), load_student(tiny.path, exact=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny.path, local_files_only=True)
    turns = [{"role": message.role, "content": message.content} for message in ASKED]
    ids = plain.encode_prompt(ASKED)
    assert ids == exact.encode_prompt(ASKED)
    assert ids == tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert plain.encode_pairs([ASKED], [SAID]) == exact.encode_pairs([ASKED], [SAID])
    assert plain.decode(ids, keep_special=True) == plain.render_prompt(ASKED)
    assert tokenizer.eos_token == STOP and tokenizer.pad_token == PAD and len(tokenizer) == tiny.vocabulary


def test_turns_end_and_padding_is_another_token(tiny: TinyModel) -> None:
    student = load_student(tiny.path)
    assert (student.end_token, student.pad_token, student.pad_chosen, student.dated) == (STOP, PAD, False, False)
    assert student.render_prompt(ASKED).endswith(f"{STOP}\n{START}assistant\n")
    [(_, completion)] = student.encode_pairs([ASKED], [SAID])
    assert completion[-1] == student.end_id and student.decode(completion) == SAID


def test_the_marks_are_ordinary_text_of_few_tokens(tiny: TinyModel) -> None:
    student = load_student(tiny.path)
    assert max(student.count_tokens(MARKS)) <= 5
    assert {student.find_special(mark) for mark in MARKS} == {""}
    assert student.count_tokens([" gateway", "网关"]) == [1, 1]


def test_same_seed_same_bytes_in_another_process_too(tiny: TinyModel, tmp_path: Path) -> None:
    code = "import sys, pathlib, raft_cli.cli as c; sys.argv[1:] = ['init', '--tiny-model', 'tiny']; c.main()"
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}); {code}"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.split("\n") == [
        f"wrote tiny ({tiny.parameters:,} random weights, {tiny.vocabulary:,} tokens; of no use for answers)",
        "",
        "Next: raft train data/ --model tiny -o run/",
        "",
    ]
    assert done.stderr == ""
    assert digests(tmp_path / "tiny") == digests(tiny.path)


def test_another_seed_changes_the_weights_and_no_random_state(tiny: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    before = torch.get_rng_state()
    write_tiny_model(tmp_path / "empty", seed=7)
    assert torch.equal(before, torch.get_rng_state())
    there, here = digests(tmp_path / "empty"), digests(tiny.path)
    assert {name for name in FILES if there[name] != here[name]} == {"README.md", "model.safetensors"}
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_sizes_may_be_chosen(tmp_path: Path) -> None:
    made = write_tiny_model(tmp_path / "small", vocabulary=400, hidden=32, layers=1, context=512)
    assert made.vocabulary == 400 and made.parameters < 30_000
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert (config["hidden_size"], config["num_hidden_layers"], config["max_position_embeddings"]) == (32, 1, 512)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(ConfigError, match="exists already; choose another folder"):
            write_tiny_model(folder)
    with pytest.raises(DatasetError, match="cannot write"):
        write_tiny_model(tmp_path / "mine.txt" / "below", vocabulary=400)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["torch", "transformers", "tokenizers"])
def test_what_is_missing_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=rf"--tiny-model needs {name}: pip install 'raft-cli\[train\]'"):
        write_tiny_model(tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()
