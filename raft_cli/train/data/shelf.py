"""Encoded rows on disk, and the micro-batches made of them: written once, mapped into memory by every process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from raft_cli.errors import DatasetError
from raft_cli.store import read_json, write_bytes, write_json
from raft_cli.train.records import Encoded

IGNORED = -100  # the label of a token without loss, as torch's cross entropy knows it


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row: `ids` and `labels` are int32 arrays of equal length."""

    ids: Any
    labels: Any


def write_shelf(folder: Path, name: str, rows: Sequence[Encoded], groups: Sequence[Sequence[int]]) -> None:
    """Write rows and the groups (micro-batches) that they form.

    Args:
        groups: Indices into `rows`, each in one group.

    Raises:
        DatasetError: The disk is full or the folder cannot be written.
    """
    import numpy as np

    lengths = np.array([row.length for row in rows], dtype=np.int64)
    index = np.stack(
        [
            np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(rows) else lengths,
            np.array([len(row.prompt) for row in rows], dtype=np.int64),
            lengths,
            np.array([row.present for row in rows], dtype=np.int64),
        ]
    )
    tokens = np.empty(int(lengths.sum()), dtype=np.int32)
    for row, start, length in zip(rows, index[0], lengths, strict=True):
        tokens[start : start + length] = [*row.prompt, *row.completion]
    _save(folder / f"{name}.tokens.npy", tokens)
    _save(folder / f"{name}.index.npy", index)
    vouched = {"tokens": len(tokens), "digest": _digest(tokens, index)}
    held = {"ids": [row.id for row in rows], "groups": [list(group) for group in groups]}
    write_json(folder / f"{name}.json", vouched | held)


def _save(path: Path, values: Any) -> None:  # noqa: ANN401 - an array
    from numpy.lib import format as npy

    def write(file: IO[bytes]) -> None:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(values))
        file.write(values.data)  # numpy's own writing does not say that the disk is full

    write_bytes(path, write)


def _digest(*arrays: Any) -> str:
    import xxhash

    digest = xxhash.xxh64()
    for each in arrays:
        digest.update(each.data)
    return digest.hexdigest()


class Shelf:
    """Groups of rows, by number.

    Raises:
        DatasetError: A file is missing, or is not what was written.
    """

    def __init__(self, folder: Path, name: str) -> None:
        import numpy as np

        way = f"remove {folder.parent / 'plan.json'} and run the same command again"
        try:
            self._tokens = np.load(folder / f"{name}.tokens.npy", mmap_mode="r")
            self._index = np.load(folder / f"{name}.index.npy")
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f"{folder}: the encoded rows cannot be read ({error}); {way}") from error
        held = read_json(folder / f"{name}.json")
        if held.get("tokens") != len(self._tokens) or held.get("digest") != _digest(self._tokens, self._index):
            raise DatasetError(f"{folder}: the encoded rows are damaged; {way}")
        self._ids: list[str] = held["ids"]
        self._groups: list[list[int]] = held["groups"]

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._ids)

    @property
    def highest(self) -> int:
        """Highest token id."""
        return int(self._tokens.max())

    def take(self, group: int) -> list[Tokens]:
        """Return the rows of a group."""
        return [self._row(number) for number in self._groups[group]]

    def name_rows(self, group: int) -> list[str]:
        """Return the ids of a group's rows."""
        return [self._ids[number] for number in self._groups[group]]

    def is_present(self, group: int) -> bool:
        """Tell whether the rows of a group (all alike, in validation) hold their oracle."""
        return bool(self._index[3][self._groups[group][0]])

    def _row(self, number: int) -> Tokens:
        import numpy as np

        start, prompt, length, _ = self._index[:, number]
        ids = np.asarray(self._tokens[start : start + length])
        labels = ids.copy()
        labels[:prompt] = IGNORED
        return Tokens(ids, labels)
