"""The command line: flags, file, messages and exit codes, as a person or a script meets them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from raft_cli import __version__
from raft_cli.cli import app, register_commands
from raft_cli.resources import find_resource

register_commands()
COMMANDS = ("generate", "init", "export", "merge")
TEXT = "The {n} pump of the northern hall runs at {n}00 turns a minute and is greased every {n} weeks by hand. "


def raft(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], terminal_width=200)


def generate(*arguments: str | Path) -> Result:
    return raft("generate", "corpus", "-o", "data", "--teacher", "extractive", *arguments)


def error(result: Result, code: int = 2) -> str:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and result.stdout == ""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture
def corpus(alone: None) -> Path:
    folder = Path("corpus")
    folder.mkdir()
    for n in range(1, 9):
        (folder / f"{n}.md").write_text(f"# Pump {n}\n\n" + "".join(TEXT.format(n=n * 10 + k) for k in range(3)))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = raft(command, "--help")
    assert result.exit_code == 0 and f"Example: raft {command} " in " ".join(result.stdout.split())
    assert command in raft("--help").stdout and raft(command, "-h").stdout == result.stdout


def test_version_names_the_distribution() -> None:
    assert raft("--version").stdout == f"raft-cli {__version__}\n"


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "raft_cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"raft-cli {__version__}\n"


def test_a_run_ends_with_figures_paths_and_the_next_command(corpus: Path) -> None:
    result = generate()
    assert result.exit_code == 0, result.output
    for said in (
        "Corpus",
        " rows in data\n",
        "With oracle",
        "data/report.html",
        "next           raft export data --format messages",
    ):
        assert said in result.stdout
    assert "a real teacher writes far better questions" in result.stdout and result.stderr == ""
    exported = raft("export", "data", "-o", "train.jsonl")
    assert exported.exit_code == 0 and "rows written to train.jsonl" in exported.stdout


def test_json_is_json_and_nothing_else(corpus: Path) -> None:
    summary = json.loads(generate("--json").stdout)
    assert summary["out"] == "data" and summary["pending"] == 0 and summary["rows"]["train"] > 0
    estimate = json.loads(generate("--dry-run", "--json").stdout)
    assert estimate["chunks"] == summary["chunks"] and estimate["journaled"] is True


def test_a_dry_run_writes_and_needs_nothing(corpus: Path) -> None:
    result = raft(
        "generate",
        "corpus",
        "-o",
        "data",
        "--teacher",
        "gpt-4.1-mini",
        "--dry-run",
        "--price-in",
        "1",
        "--price-out",
        "2",
    )
    assert result.exit_code == 0, result.output
    assert "Dry run (nothing was sent or written)" in result.stdout and "about $0." in result.stdout
    assert [path.name for path in Path().iterdir()] == ["corpus"]


def test_underscores_are_as_good_as_dashes(corpus: Path) -> None:
    assert generate("--chunk_size", "128", "--oracle_share=1", "--json").exit_code == 0
    assert json.loads(Path("data/manifest.json").read_text())["settings"]["chunk_size"] == 128


def settings_of(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(Path("data/manifest.json").read_text())["settings"]
    return found


def test_flag_over_file_over_default(corpus: Path) -> None:
    Path("raft.toml").write_text("[generate]\ndistractors = 2\noracle-share = 1\ntest_share = 0.2\n")
    Path("other.toml").write_text("[generate]\ndistractors = 3\n\n[train]\nepochs = 3\n")
    found = settings_of(generate("--test-share", "0.3"))
    assert (found["distractors"], found["oracle_share"], found["test_share"], found["seed"]) == (2, 1, 0.3, 42)
    assert settings_of(generate("--config", "other.toml"))["distractors"] == 3
    assert settings_of(generate("--config", "other.toml", "--distractors", "1"))["distractors"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[generate]\ndistractor = 2\n", "[generate] has no setting 'distractor'; known: absent_target"),
        ("[generate]\ndistractors = 'two'\n", "[generate] distractors = 'two' must be of type int"),
        ("[generate]\ndistractors = true\n", "must be of type int"),
        ("[generate]\nstrict = 1\n", "must be of type bool"),
        ("[generate]\nkinds = ['factoid']\n", "must be of type str"),
        ("[generate]\ndistractors = 500\n", "--distractors 500: must be at most 200"),
        ("[generate\n", "is no valid TOML"),
        ("", ""),
    ],
)
def test_faults_of_the_file_are_named(corpus: Path, content: str, said: str) -> None:
    Path("raft.toml").write_text(content)
    if said:
        assert said in error(generate())
    else:
        assert generate().exit_code == 0
    assert "none.toml" in error(generate("--config", "none.toml"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--chunk-size", "8"], "--chunk-size 8: must be at least 16"),
        (["--chunk-size", "many"], "Invalid value for '--chunk-size'"),
        (["--distractor-source", "clever"], "choose from random, lexical, mixed"),
        (["--overlap", "300"], "--overlap 300: must be less than half"),
        (["--max-cost", "1"], "--max-cost needs --price-in and --price-out"),
        (["--tokenizer", "none"], "--tokenizer none: no folder"),
        (["--no-such-flag"], "No such option"),
    ],
)
def test_wrong_values_are_usage_errors(corpus: Path, arguments: list[str], said: str) -> None:
    assert said in error(generate(*arguments))
    assert not Path("data").exists()


def test_what_is_missing_is_a_usage_error() -> None:
    assert "Missing argument" in error(raft("generate", "-o", "data"))
    assert "Missing option" in error(raft("generate", "corpus"))
    assert "No such command" in error(raft("generat"))


def test_without_a_teacher_or_a_key_the_choice_is_explained(corpus: Path) -> None:
    said = error(raft("generate", "corpus", "-o", "data"))
    for choice in ("--teacher gpt-4.1-mini", "OPENAI_API_KEY", "--base-url", "local:PATH", "--teacher extractive"):
        assert choice in said
    said = error(raft("generate", "corpus", "-o", "data", "--teacher", "gpt-4.1-mini"), 1)
    assert "OPENAI_API_KEY" in said and "extractive" in said
    assert not Path("data").exists()


def test_a_corpus_that_gives_nothing(corpus: Path) -> None:
    Path("empty").mkdir()
    assert "none: no such file or folder" in error(raft("generate", "none", "-o", "data", "--teacher", "extractive"), 1)
    assert "no files found" in error(raft("generate", "empty", "-o", "data", "--teacher", "extractive"), 1)
    Path("empty/scan.pdf").write_text("no pdf")
    said = error(raft("generate", "empty", "-o", "data", "--teacher", "extractive"), 1)
    assert "no readable document in empty: 1 damaged: scan.pdf (damaged: " in said
    assert "--strict: 1 empty" in error(generate_strict(corpus), 1)


def generate_strict(corpus: Path) -> Result:
    (corpus / "blank.md").write_text("")
    return generate("--strict")


def test_too_few_chunks_says_how_many_and_what_to_lower(corpus: Path) -> None:
    said = error(generate("--distractors", "10"), 1)
    assert "8 chunks are too few for rows with 10 distractors: 4 more are needed" in said
    assert "lower --distractors to 6, lower --chunk-size (512 tokens), or add documents" in said
    assert generate("--distractors", "6").exit_code == 0


def test_export_explains_what_it_cannot_do(tmp_path: Path) -> None:
    assert "is it a dataset folder of raft?" in error(raft("export", "none", "-o", "out.jsonl"), 1)
    assert "--format xml: choose from native" in error(raft("export", "none", "-o", "out.jsonl", "--format", "xml"))


def test_init_writes_a_project_that_runs(tmp_path: Path) -> None:
    result = raft("init", "new")
    assert result.exit_code == 0 and "Next: cd new && raft generate sample_corpus" in result.stdout
    assert "wrote new/raft.toml" in result.stdout
    assert "raft.toml exists already" in error(raft("init", "new"))
    samples = {path.name for path in Path("new/sample_corpus").rglob("*")}
    assert samples == {path.name for path in find_resource("sample_corpus").rglob("*")}
    made = raft(
        "generate", "new/sample_corpus/zh", "-o", "data", "--teacher", "extractive", "--chunk-size", "128",
        "--prompts", "new/prompts", "--config", "new/raft.toml",
    )  # fmt: skip
    assert made.exit_code == 0, made.output


def test_init_needs_a_folder_and_overwrites_no_model(tmp_path: Path) -> None:
    said = error(raft("init"))
    assert "raft init DIR" in said and "--tiny-model DIR" in said
    Path("tiny").mkdir()
    Path("tiny/mine.txt").write_text("mine")
    assert "--tiny-model tiny exists already; choose another folder" in error(
        raft("init", "new", "--tiny-model", "tiny")
    )
    assert [path.name for path in Path().rglob("*")] == ["tiny", "mine.txt"]
