"""A dataset is exported in every format, as JSONL and Parquet, and never over itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from raft_cli.config.generate import FORMATS
from raft_cli.errors import ConfigError, DatasetError
from raft_cli.generate.export import export_dataset
from raft_cli.generate.formats import CONVERTERS
from raft_cli.store import read_lines, write_lines


def make_row(number: int) -> dict[str, Any]:
    text = f"The pump {number} was built on 2024-01-{number:02}."
    return {
        "id": f"row{number}",
        "type": "general",
        "question": f"When was pump {number} built?",
        "context": {"sentences": [[text]], "title": [["Pumps"]]},
        "oracle_context": text,
        "cot_answer": f"##begin_quote##{text}##end_quote##\n<ANSWER>: 2024-01-{number:02}",
        "instruction": f"<DOCUMENT>{text}</DOCUMENT>\nWhen was pump {number} built?",
        "answer": f"2024-01-{number:02}",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    for split, numbers in {"train": range(1, 7), "test": range(7, 9)}.items():
        write_lines(data / f"{split}.jsonl", [make_row(number) for number in numbers])
    return data


def export(folder: Path, out: Path, format: str = "messages", split: str = "train", system: str = "") -> int:
    return export_dataset(folder, out, format=format, split=split, system=system)


@pytest.mark.parametrize("format", ["native", *FORMATS])
def test_every_format_as_jsonl_and_parquet(folder: Path, tmp_path: Path, format: str) -> None:
    import datasets

    lines, table = tmp_path / "new" / "out.jsonl", tmp_path / "other" / "out.parquet"
    assert export(folder, lines, format, "all", "Be brief.") == 8
    assert export(folder, table, format, "all", "Be brief.") == 8
    expected = [
        make_row(number) if format == "native" else CONVERTERS[format](make_row(number), "Be brief.")
        for number in range(1, 9)
    ]
    assert list(read_lines(lines)) == expected
    loaded = datasets.Dataset.from_parquet(str(table), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == expected
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["out.parquet"]


def test_parquet_says_nothing_where_nobody_looks(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export(folder, tmp_path / "out.parquet")
    assert capfd.readouterr() == ("", "")


def test_one_split_or_one_file(folder: Path, tmp_path: Path) -> None:
    assert export(folder, tmp_path / "test.jsonl", split="test") == 2
    assert export(folder / "test.jsonl", tmp_path / "file.json", split="train") == 2
    assert (tmp_path / "test.jsonl").read_bytes() == (tmp_path / "file.json").read_bytes()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"format": "xml"}, "--format xml: choose from native, messages"),
        ({"split": "dev"}, "--split dev: choose from train, validation, test, all"),
        ({"out": "out.csv"}, "must end in .jsonl or .parquet"),
        ({"out": "data/train.jsonl"}, "would overwrite the dataset itself"),
        ({"out": "data/../data/chunks.jsonl"}, "would overwrite the dataset itself"),
        ({"source": "data/test.jsonl", "out": "data/test.jsonl"}, "would overwrite the dataset itself"),
    ],
)
def test_choices_that_cannot_work(folder: Path, tmp_path: Path, settings: dict[str, str], said: str) -> None:
    before = (folder / "train.jsonl").read_bytes()
    source, out = tmp_path / settings.pop("source", "data"), tmp_path / settings.pop("out", "out.jsonl")
    with pytest.raises(ConfigError) as caught:
        export(source, out, **settings)
    assert said in str(caught.value)
    assert (folder / "train.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_what_is_no_dataset_is_explained_and_leaves_nothing(folder: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "made" / name
    with pytest.raises(DatasetError, match=r"no validation.jsonl there"):
        export(folder, out, split="validation")
    with pytest.raises(DatasetError, match=r"is it a dataset folder of raft"):
        export(tmp_path / "none", out)
    with (folder / "train.jsonl").open("a") as file:
        file.write(json.dumps({"question": "alone"}) + "\n")
    with pytest.raises(DatasetError, match=r"train.jsonl, line 7: no RAFT row \(KeyError"):
        export(folder, out)
    assert not list((tmp_path / "made").glob("*"))


def test_an_empty_file_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DatasetError, match="no rows"):
        export(tmp_path / "empty.jsonl", tmp_path / "out.parquet")
