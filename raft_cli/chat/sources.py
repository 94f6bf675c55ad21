"""From what a person calls a model to the files it is made of: a whole model, or an adapter on its base. No weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raft_cli.base import check_base, find_base
from raft_cli.data import make_id
from raft_cli.errors import DatasetError, ModelError
from raft_cli.model import ModelFolder, find_model
from raft_cli.store import read_json
from raft_cli.weights import INDEX, SINGLE, hash_file, hash_weights

_MANIFEST, _ADAPTER, _SETTINGS = "manifest.json", "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Source:
    """The files of a model whose answers are wanted.

    Attributes:
        name: As the person gave it.
        folder: Where its tokenizer and template lie.
        base: The model whose weights are loaded, and their SHA-256 in `weights`.
        adapter: Folder of the adapter on them, or None; `adapter_hash` names weights and settings of it.
    """

    name: str
    folder: Path
    base: ModelFolder
    weights: str
    adapter: Path | None = None
    adapter_hash: str = ""


def find_sources(names: Sequence[str], *, base: str) -> list[Source]:
    """Return the files of each model: a run folder, a model folder or an id of the Hub.

    An adapter's base is the one given, else one of the other models if its weights are those that the run was trained
    on, else what the run remembers.

    Args:
        base: The base of adapters, as a folder or id; empty to find it.

    Raises:
        ModelError: Something is missing, broken or unfinished, or a base has other weights than in training.
    """
    whole = {name: _find_whole(name) for name in names if not _is_adapter(name)}
    lying = {source.weights: source.base for source in whole.values()}
    return [whole[name] if name in whole else _find_adapted(name, base, lying) for name in names]


def _is_adapter(name: str) -> bool:
    folder = Path(name).expanduser()
    return (folder / _SETTINGS).is_file() and not any((folder / each).is_file() for each in (SINGLE, INDEX))


def _find_whole(name: str) -> Source:
    if (folder := Path(name).expanduser()).is_dir():
        _read_manifest(folder)
    model = find_model(name, weights=True)
    return Source(name, model.path, model, hash_weights(model.path))


def _find_adapted(name: str, base: str, lying: Mapping[str, ModelFolder]) -> Source:
    run = Path(name).expanduser().resolve()
    known = _read_manifest(run).get("base") or {}
    settings = _read_mapping(run / _SETTINGS)
    if not (run / _ADAPTER).is_file():
        raise ModelError(f"{run} has lost its {_ADAPTER}; train again, or copy it back")
    if settings.get("peft_type") != "LORA":
        raise ModelError(f"{run} holds a {settings.get('peft_type')} adapter; only LoRA adapters are loaded")
    found = find_model(base, weights=True) if base else lying.get(str(known.get("weights")))
    model = found or find_base(run, known, otherwise=str(settings.get("base_model_name_or_path") or ""))
    weights = check_base(run, known, model)
    own = any((run / file).is_file() for file in ("tokenizer.json", "tokenizer_config.json"))
    digest = f"{hash_file(run / _ADAPTER)} {make_id((run / _SETTINGS).read_text(encoding='utf-8'))}"
    return Source(name, run if own else model.path, model, weights, run, digest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """Return a run's manifest; empty for a folder that is none of a run.

    Raises:
        ModelError: The run is not finished.
    """
    started = (folder / "metrics.jsonl").is_file() or (folder / "checkpoints").is_dir()
    held = _read_mapping(folder / _MANIFEST) if (folder / _MANIFEST).is_file() else {}
    if (started and not held) or (held.get("kind") == "run" and not held.get("complete")):
        raise ModelError(f"{folder} is not finished; run the same `raft train` again")
    return held


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        held = read_json(path)
    except DatasetError as error:
        raise ModelError(f"{error}; copy the folder again") from error
    if not isinstance(held, dict):
        raise ModelError(f"{path} is not what it should be: {json.dumps(held)[:60]}; copy the folder again")
    return held
