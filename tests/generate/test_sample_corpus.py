"""The sample corpus from files to dataset, without key and network: right, complete, and the same at each run."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from check_dataset import check

from raft_cli.config.generate import GenerateConfig
from raft_cli.errors import ConfigError
from raft_cli.generate.outcome import Outcome
from raft_cli.generate.pipeline import generate_dataset
from raft_cli.generate.write import DATA_FILES
from raft_cli.language import is_cjk
from raft_cli.progress import Progress
from raft_cli.resources import find_resource
from raft_cli.store import read_json, read_lines

PLAIN: dict[str, Any] = {"teacher": "extractive", "chunk_size": 256, "workers": 2}


def generate(out: Path, **chosen: Any) -> Outcome:
    config = GenerateConfig(**{**PLAIN, **chosen})
    return generate_dataset([str(find_resource("sample_corpus"))], out, config, Progress(quiet=True))


def read(out: Path, name: str) -> list[dict[str, Any]]:
    return list(read_lines(out / f"{name}.jsonl"))


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for split in ("train", "validation", "test") for row in read(out, split)]


def digests(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in DATA_FILES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    out = tmp_path_factory.mktemp("made") / "data"
    return out, generate(out)


def test_nothing_is_wrong_with_it(made: tuple[Path, Outcome]) -> None:
    assert check(made[0]) == []


def test_every_file_gives_questions_in_its_language(made: tuple[Path, Outcome]) -> None:
    out, outcome = made
    chunks = {chunk["id"]: chunk for chunk in read(out, "chunks")}
    assert len(chunks) >= 40 and {chunk["language"] for chunk in chunks.values()} == {"en", "zh"}
    asked: Counter[str] = Counter()
    for question in read(out, "questions"):
        chunk = chunks[question["chunk_ids"][0]]
        assert is_cjk(question["text"]) is (chunk["language"] == "zh"), question["text"]
        asked[chunk["source"].split("#")[0]] += 1
    files = {
        path.relative_to(find_resource("sample_corpus")).as_posix()
        for path in find_resource("sample_corpus").rglob("*.*")
    }
    assert set(asked) == files and outcome.unread == ()
    assert {row["kind"] for row in rows(out)} == {"factoid", "reasoning", "procedural"}


def test_counts_add_up(made: tuple[Path, Outcome]) -> None:
    out, outcome = made
    manifest = read_json(out / "manifest.json")
    counts, questions, rejects = manifest["counts"], read(out, "questions"), read(out, "rejected")
    of_questions = [reject for reject in rejects if reject["stage"] not in ("read", "chunk")]
    assert counts["planned"] == len(questions) + len(of_questions) == 3 * counts["chunks"]
    assert counts["questions"] == len(questions) == sum(counts["rows"].values()) == len(rows(out))
    assert counts["chunks"] == len(read(out, "chunks")) and counts["documents"] == len(read(out, "documents"))
    assert counts["rejected"] == len(rejects) and manifest["rejects"] == Counter(reject["reason"] for reject in rejects)
    assert counts["rows_with_oracle"] == sum(bool(row["oracle"]) for row in rows(out)) == outcome.oracle_rows
    assert manifest["complete"] is True and manifest["files"] == digests(out)
    assert manifest["usage"]["folder"]["replies"] == manifest["usage"]["run"]["requests"] == outcome.used.requests


def test_another_folder_another_pace_the_same_bytes(made: tuple[Path, Outcome], tmp_path: Path) -> None:
    generate(tmp_path / "again", concurrency=1, workers=1)
    assert digests(tmp_path / "again") == digests(made[0])


def test_free_settings_rebuild_without_a_request_and_paid_ones_stop(tmp_path: Path) -> None:
    out = tmp_path / "data"
    first, before = generate(out, limit=30), digests(out)
    free = {"distractors": 2, "oracle_share": 0.5, "absent_target": "refuse", "split_by": "document", "seed": 42}
    again = generate(out, limit=30, **free)
    assert (again.used.requests, again.used.replayed) == (0, first.used.requests)
    assert check(out) == [] and digests(out) != before
    with pytest.raises(ConfigError, match="--questions was 3, now 2"):
        generate(out, limit=30, questions=2)
    whole = generate(out)
    assert whole.used.replayed == first.used.requests and check(out) == []


@pytest.mark.parametrize(
    "chosen",
    [
        {"kinds": "factoid,multi-hop", "both_contexts": True},
        {"vary_distractors": "1:5", "distractor_source": "lexical", "absent_target": "answer", "split_by": "chunk"},
    ],
)
def test_other_choices_are_right_too(tmp_path: Path, chosen: dict[str, Any]) -> None:
    outcome = generate(tmp_path / "data", limit=40, **chosen)
    assert check(tmp_path / "data") == [] and outcome.total_rows > 40
