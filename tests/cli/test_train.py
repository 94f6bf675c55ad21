"""`raft train` as a person or a script meets it: what it says before any step, and what it says when it cannot."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from raft_cli.cli import app, register_commands
from raft_cli.train.tiny import write_tiny_model

register_commands()
BLOCK = "import sys\nfor name in {names!r}:\n    sys.modules[name] = None  # as if it were not installed\n"
TRAINING = "torch transformers trl peft accelerate datasets bitsandbytes deepspeed".split()


def make_row(number: int, words: int = 10) -> dict[str, Any]:
    texts = [f"Pump {number}.{at} " + "turns " * words + f"{number + at} times." for at in range(3)]
    return {
        "id": f"row-{number}",
        "oracle_context": texts[0],
        "cot_answer": f"##Reason: ##begin_quote##{texts[0]}##end_quote##\n<ANSWER>: {number}",
        "instruction": "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in texts) + f"\nHow often does {number} turn?",
        "documents": [{"role": "oracle"}, {"role": "random"}, {"role": "hard"}],
        "oracle": [0],
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_model(folder, vocabulary=384, hidden=32, layers=1)
    return folder


@pytest.fixture
def base(made: Path, alone: None) -> Path:
    """A model folder that a test may spoil."""
    Path("base").mkdir()
    for path in made.iterdir():
        Path("base", path.name).write_bytes(path.read_bytes())
    write_rows(Path("data/train.jsonl"), [make_row(number) for number in range(30)])
    return Path("base")


def raft(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], terminal_width=200)


def train(*arguments: object) -> Result:
    return raft("train", "data", "--model", "base", "-o", "run", "--device", "cpu", *arguments)


def plan(*arguments: object) -> dict[str, Any]:
    result = train("--dry-run", "--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def error(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and result.stdout == ""
    assert not Path("run").exists()
    return " ".join(result.stderr.replace("│", " ").split())


def set_json(path: Path, **changes: object) -> None:
    held = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in held.items() if value is not None}))


def run_without(names: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a Python whose imports of some packages fail."""
    Path("blocked").mkdir(exist_ok=True)
    Path("blocked/sitecustomize.py").write_text(BLOCK.format(names=names))
    command = [sys.executable, "-m", "raft_cli", *map(str, arguments)]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path("blocked").resolve()), root])}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


TRAIN = ("train", "data", "--model", "base", "-o", "run", "--device", "cpu")


def test_without_torch_it_says_what_to_install(base: Path) -> None:
    done = run_without(TRAINING, *TRAIN)
    assert done.returncode == 1 and "error: training needs torch, transformers, trl, peft" in done.stderr
    assert "pip install 'raft-cli[train]'" in done.stderr and not Path("run").exists()


def test_a_dry_run_needs_no_torch_and_writes_nothing(base: Path) -> None:
    before = sorted(Path.cwd().rglob("*"))
    done = run_without(TRAINING, *TRAIN, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "To train on       29," in done.stdout and "fits" in done.stdout
    assert not Path("run").exists() and {*before, *Path.cwd().rglob("blocked*/**")} >= {*before}


@pytest.mark.parametrize(
    ("missing", "flags", "said"),
    [
        ("bitsandbytes", ("--method", "qlora"), "--method qlora needs bitsandbytes: pip install 'raft-cli[qlora]'"),
        ("deepspeed", ("--strategy", "deepspeed"), "--strategy deepspeed needs deepspeed: pip install deepspeed"),
        ("wandb", ("--report-to", "tensorboard,wandb"), "--report-to wandb needs wandb: pip install wandb"),
    ],
)
def test_a_package_that_a_setting_needs(missing: str, flags: tuple[str, ...], said: str, base: Path) -> None:
    done = run_without([missing], *TRAIN, *flags)
    assert done.returncode == 1 and said in done.stderr and not Path("run").exists(), done.stderr


def test_models_that_are_not_there(base: Path) -> None:
    Path("adapter").mkdir()
    Path("adapter/adapter_config.json").write_text("{}")
    Path("empty").mkdir()
    for model, said in (
        ("org/none", "--model org/none: not whole in the local cache, and the Hub cannot be reached"),
        ("./none", "--model ./none: no such folder"),
        ("adapter", "is an adapter, no whole model; `raft merge"),
        ("empty", "no config.json there; is it a folder of a transformers model?"),
    ):
        assert said in error(raft("train", "data", "--model", model, "-o", "run"))
    for path in base.glob("*.safetensors"):
        path.unlink()
    assert "no *.safetensors there" in error(train())


def test_a_tokenizer_without_an_end(base: Path) -> None:
    (base / "chat_template.jinja").unlink()
    (base / "generation_config.json").unlink()
    set_json(base / "tokenizer_config.json", eos_token=None)
    assert "has no end-of-sequence token" in error(train())


@pytest.mark.parametrize("pad", [None, "<|im_end|>"])
def test_a_pad_token_is_chosen_that_ends_no_turn(pad: str | None, base: Path) -> None:
    set_json(base / "tokenizer_config.json", pad_token=pad)
    found = plan()
    assert found["recipe"]["pad_token"] == "<|endoftext|>" and found["recipe"]["pad_id"] != found["recipe"]["end_id"]
    assert any("'<|endoftext|>' pads" in note for note in found["notes"])


def test_a_base_model_is_asked_in_plain_paragraphs(base: Path) -> None:
    (base / "chat_template.jinja").unlink()
    assert any("no chat template: prompts are plain paragraphs" in note for note in plan()["notes"])


def test_data_that_cannot_be_trained_on(base: Path) -> None:
    row = json.dumps(make_row(1))
    for name, lines, said in (
        ("empty/train.jsonl", [], "empty/train.jsonl: no rows in it"),
        ("broken/train.jsonl", [row, "{", row], "broken/train.jsonl, line 2: not JSON"),
        ("alien/train.jsonl", ['{"a": 1}'], "alien/train.jsonl, line 1: no format that can be trained on (a)"),
        ("tested/test.jsonl", [row], "tested: no train.jsonl in it; `raft generate` writes one"),
    ):
        path = Path(name)
        path.parent.mkdir()
        path.write_text("\n".join(lines))
        assert said in error(raft("train", path.parent, "--model", base, "-o", "run", "--device", "cpu"))
    assert "nodata: no such file or folder" in error(raft("train", "nodata", "--model", base, "-o", "run"))


def test_an_unfinished_dataset_is_trained_on_and_said_to_be_so(base: Path) -> None:
    Path("data/manifest.json").write_text('{"complete": false}')
    assert any("data is not complete: `raft generate` was stopped" in note for note in plan()["notes"])


def test_rows_that_are_too_long_lose_distractors_and_some_are_lost(base: Path) -> None:
    whole = plan()["plan"]
    tight = whole["lengths"][3] - 20
    assert plan("--max-tokens", tight)["plan"]["shortened"] > 0
    rows = [make_row(number) for number in range(29)] + [make_row(29, words=400)]
    write_rows(Path("data/train.jsonl"), rows)
    said = error(train("--max-tokens", tight, "--validation-share", 0))
    assert "1 of 30 rows (3.3%) cannot be trained on, more than --max-lost 0.01; the first: " in said
    assert "train.jsonl, line 30: too-long" in said and "--max-lost 1 trains on the others" in said
    assert plan("--max-tokens", tight, "--validation-share", 0, "--max-lost", 0.05)["plan"]["rows"] == 29


def test_a_flag_goes_over_the_file_and_the_file_over_the_preset(base: Path) -> None:
    assert plan("--preset", "paper")["recipe"]["learning_rate"] == 2e-5
    found = plan("--preset", "paper", "--epochs", 2)["recipe"]
    assert (found["method"], found["learning_rate"], found["epochs"]) == ("full", 2e-5, 2.0)
    Path("raft.toml").write_text('[train]\npreset = "paper"\nlearning-rate = 3e-5\nepochs = 2\n')
    found = plan("--epochs", 3)["recipe"]
    assert (found["method"], found["learning_rate"], found["epochs"]) == ("full", 3e-5, 3.0)
    assert plan("--learning_rate", 7e-5)["recipe"]["learning_rate"] == 7e-5


def test_settings_that_cannot_be(base: Path) -> None:
    for flags, said in (
        (("--method", "sft"), "choose from lora, qlora, full"),
        (("--precision", "fp16"), "--precision fp16 needs a GPU"),
        (("--strategy", "fsdp"), "--strategy fsdp needs GPUs, and this run is on the CPU; use ddp"),
        (("--nodes", 2), "--nodes needs --rendezvous HOST:PORT"),
        (("--report-to", "aim"), "choose from tensorboard, wandb, mlflow"),
        (("--preset", "big"), "--preset big: unknown value 'big'; choose from smoke, "),
    ):
        assert said in error(train(*flags), code=2)
    Path("raft.toml").write_text("[train]\nlr = 1\n")
    assert "[train] has no setting 'lr'; known: alpha, " in error(train(), code=2)
    Path("raft.toml").unlink()
    assert "needed: the folder for the run" in error(raft("train", "data", "--model", "base"), code=2)
    assert "--model is missing" in error(raft("train", "data", "-o", "run"), code=2)


@pytest.mark.parametrize("flags", [("--rank", "0"), ("-o", "thesis"), ("--method", "qlora", "--dora", "--targets", "")])
def test_a_wrong_setting_or_folder_is_told_at_once(flags: tuple[str, ...], base: Path) -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").touch()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_without([], *TRAIN, *flags)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (1, 2) and done.stderr.startswith("error: ") and done.stdout == ""
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 2.0


def test_help_needs_no_library_of_training() -> None:
    done = run_without(TRAINING, "train", "--help")
    assert done.returncode == 0 and "--learning-rate" in done.stdout
    assert "Example: raft train" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_a_run_ends_with_figures_paths_and_the_next_command_and_json_is_json(base: Path) -> None:
    done = run_without([], *TRAIN, "--max-steps", 2, "--batch", 4, "--rank", 4)
    assert done.returncode == 0, done.stderr
    for said in (
        "Trained on        29",
        "Validation loss before training",
        "run/report.html",
        "raft merge run -o run-",
    ):
        assert said in done.stdout
    assert "training on 29 rows: 2 steps" in done.stderr and "step 2 of 2: validation loss" in done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    again = run_without([], *TRAIN, "--max-steps", 2, "--batch", 4, "--rank", 4, "--json")
    found = json.loads(again.stdout)
    assert found["before"] is True and found["out"] == "run" and found["result"]["steps"] == 2
