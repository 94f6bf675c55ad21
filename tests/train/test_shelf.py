"""Encoded rows come back from the disk as they went there, with no loss on their prompts."""

from array import array
from pathlib import Path

import pytest

from raft_cli.errors import DatasetError
from raft_cli.train.data.shelf import IGNORED, Shelf, write_shelf
from raft_cli.train.records import Encoded


def make_encoded(name: str, prompt: list[int], completion: list[int], *, present: bool = True) -> Encoded:
    return Encoded(name, array("i", prompt), array("i", completion), present, 0, 1, (0,) if present else ())


ROWS = [
    make_encoded("one", [5, 6, 7], [8, 2]),
    make_encoded("two", [5], [70_000, 9, 2], present=False),
    make_encoded("three", [], [2], present=False),
]


def test_rows_come_back_by_group(tmp_path: Path) -> None:
    write_shelf(tmp_path / "rows", "train", ROWS, [[2, 0], [1]])
    shelf = Shelf(tmp_path / "rows", "train")
    assert (len(shelf), shelf.rows, shelf.highest) == (2, 3, 70_000)
    taken = [(row.ids.tolist(), row.labels.tolist()) for row in shelf.take(0)]
    assert taken == [([2], [2]), ([5, 6, 7, 8, 2], [IGNORED, IGNORED, IGNORED, 8, 2])]
    assert shelf.take(1)[0].labels.tolist() == [IGNORED, 70_000, 9, 2]
    assert shelf.name_rows(0) == ["three", "one"]
    assert [shelf.is_present(group) for group in (0, 1)] == [False, False]


def test_taking_a_row_changes_nothing_on_disk(tmp_path: Path) -> None:
    write_shelf(tmp_path, "train", ROWS, [[0]])
    Shelf(tmp_path, "train").take(0)[0].labels[:] = 0
    assert Shelf(tmp_path, "train").take(0)[0].ids.tolist() == [5, 6, 7, 8, 2]


def test_a_shelf_may_be_empty(tmp_path: Path) -> None:
    write_shelf(tmp_path, "validation", [], [])
    assert len(Shelf(tmp_path, "validation")) == 0


def test_a_shelf_that_is_not_there_or_not_whole(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the encoded rows cannot be read"):
        Shelf(tmp_path, "train")
    write_shelf(tmp_path, "train", ROWS, [[0]])
    (tmp_path / "train.tokens.npy").write_bytes(b"half")
    with pytest.raises(DatasetError, match="the encoded rows cannot be read"):
        Shelf(tmp_path, "train")
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        write_shelf(tmp_path / "file", "train", ROWS, [[0]])


def test_damaged_rows_are_not_trained_on(tmp_path: Path) -> None:
    """A power cut can leave a file of the right size that holds zeros."""
    write_shelf(tmp_path / "rows", "train", ROWS, [[0], [1], [2]])
    path = tmp_path / "rows" / "train.tokens.npy"
    whole, way = path.read_bytes(), "remove .*plan.json and run the same command again"
    path.write_bytes(whole[:-12] + bytes(12))
    with pytest.raises(DatasetError, match=f"damaged; {way}"):
        Shelf(tmp_path / "rows", "train")
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match=f"cannot be read .*; {way}"):
        Shelf(tmp_path / "rows", "train")
    path.write_bytes(whole)
    Shelf(tmp_path / "rows", "train")
    write_shelf(tmp_path / "others", "train", ROWS[::-1], [[0], [1], [2]])
    (tmp_path / "others" / "train.index.npy").replace(tmp_path / "rows" / "train.index.npy")
    with pytest.raises(DatasetError, match=f"damaged; {way}"):
        Shelf(tmp_path / "rows", "train")


def test_rows_appear_when_whole(tmp_path: Path) -> None:
    write_shelf(tmp_path, "train", ROWS, [[0]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.index.npy", "train.json", "train.tokens.npy"]
    (tmp_path / "train.index.npy").unlink()
    (tmp_path / "train.index.npy").mkdir()
    before = (tmp_path / "train.json").read_bytes()
    with pytest.raises(DatasetError, match=r"cannot write .*train.index.npy"):
        write_shelf(tmp_path, "train", ROWS[:1], [[0]])
    assert (tmp_path / "train.json").read_bytes() == before and not [*tmp_path.glob("*.part")]
