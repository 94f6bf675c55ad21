"""The weights of a model folder: which files they are, and the hash that names them. Loads none."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from raft_cli.errors import DatasetError, ModelError
from raft_cli.store import read_json, write_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_CACHE = "weights.json"
_REMEMBERED = 1000  # files


def list_shards(folder: Path) -> list[Path]:
    """Return the files that make up the weights of a model folder, whatever else lies there.

    Raises:
        ModelError: There are none, the index cannot be read, or a file that it names is missing.
    """
    shards = [folder / SINGLE]
    if (folder / INDEX).is_file():
        try:
            named = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
            shards = [folder / name for name in sorted(set(named.values()))]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelError(f"{folder / INDEX} cannot be read; fetch the model again") from error
    if missing := [path.name for path in shards if not path.is_file()]:
        raise ModelError(f"{folder}: {', '.join(missing[:3])} missing; the whole model in safetensors is needed")
    return shards


def hash_weights(folder: Path) -> str:
    """Return the SHA-256 of a model's weights: that of its file, or of lines `HASH  NAME` when there are several.

    Hashes are remembered by path, size and time of change in the user's cache folder: a 7B model is read once.

    Raises:
        ModelError: As `list_shards`.
    """
    shards = list_shards(folder)
    known = _read_cache()
    found = {_name(path): known.get(_name(path)) or hash_file(path) for path in shards}
    if not found.keys() <= known.keys():
        with contextlib.suppress(DatasetError):  # a home that cannot be written costs time only
            write_json(_find_cache(), dict([*known.items(), *found.items()][-_REMEMBERED:]))
    hashes = [found[_name(path)] for path in shards]
    lines = "".join(f"{digest}  {path.name}\n" for digest, path in zip(hashes, shards, strict=True))
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(lines.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(path: Path) -> str:
    facts = path.stat()
    return f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"


def _find_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "raft" / _CACHE


def _read_cache() -> dict[str, str]:
    try:
        held = read_json(_find_cache())
    except DatasetError:
        return {}
    return {str(name): str(digest) for name, digest in held.items()} if isinstance(held, dict) else {}
