"""Files appear whole or not at all, hold what was given, and name the line that is wrong."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.errors import DatasetError
from raft_cli.store import dumps, explain_write_error, read_json, read_lines, write_json, write_lines, write_text

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True, slots=True)
class Inner:
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: Inner | None


@given(records=st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=4))
def test_what_is_written_is_read(records: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.jsonl"
    assert write_lines(path, records) == len(records)
    assert list(read_lines(path)) == records
    assert [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] == records


def test_records_are_lines_of_real_utf8(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "lines.jsonl"
    write_lines(path, [Outer("阀\u2028门", Inner(("a",))), {"plain": 1}, Outer("b", None)])
    assert path.read_text(encoding="utf-8").split("\n") == [
        '{"name":"阀\u2028门","inner":{"words":["a"]}}',
        '{"plain":1}',
        '{"name":"b","inner":null}',
        "",
    ]
    assert len(list(read_lines(path))) == 3


def test_lone_surrogates_do_no_harm(tmp_path: Path) -> None:
    assert json.loads(dumps({"a\ud800": ["b\udfff", {"c": "\ud800"}]})) == {"a?": ["b?", {"c": "?"}]}
    write_json(tmp_path / "value.json", {"corpus": ["caf\udce9"]})
    write_text(tmp_path / "text", "caf\udce9")
    assert read_json(tmp_path / "value.json") == {"corpus": ["caf?"]}
    assert (tmp_path / "text").read_text() == "caf?"


def test_a_failure_half_way_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    write_lines(path, [{"kept": True}])

    def fail() -> Iterator[dict[str, int]]:
        yield {"half": 1}
        raise DatasetError("a bad row")

    with pytest.raises(DatasetError, match="a bad row"):
        write_lines(path, fail())
    assert list(read_lines(path)) == [{"kept": True}]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_place_of_a_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (
        lambda path: write_lines(path, []),
        lambda path: write_text(path, ""),
        lambda path: write_json(path, 1),
    ):
        with pytest.raises(DatasetError, match=r"cannot write .*file/below"):
            write(tmp_path / "file" / "below")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatasetError, match="cannot write"):
        write_text(tmp_path / "folder", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_full_disk_is_explained() -> None:
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError) as caught:
        path.write_bytes(b"x" * 10_000)
    explained = str(explain_write_error(Path("out"), caught.value))
    assert "no space left to write out" in explained and "run the same command again" in explained


@pytest.mark.parametrize(
    ("content", "line"),
    [(b'{"a":1}\n{"a":', 2), (b"\n\n[1]\n", 3), (b'{"a":1}\n\xff\n', 2), (b"word\n", 1), (b'{"a":1} {"b":2}\n', 1)],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"lines.jsonl, line {line}: not a JSON object"):
        list(read_lines(path))


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'\n{"a":1}\r\n   \n{"b":2}')
    assert list(read_lines(path)) == [{"a": 1}, {"b": 2}]


def test_missing_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read .*gone"):
        list(read_lines(tmp_path / "gone"))
    with pytest.raises(DatasetError, match=r"cannot read .*gone"):
        read_json(tmp_path / "gone")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(DatasetError, match="bad is not JSON"):
        read_json(tmp_path / "bad")
