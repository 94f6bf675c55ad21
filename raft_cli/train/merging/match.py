"""A run and its base, read and checked to belong together, before one is merged into the other. Writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raft_cli.base import check_base, find_base
from raft_cli.errors import ModelError
from raft_cli.model import ModelFolder, find_model
from raft_cli.store import read_json
from raft_cli.train.merging.adapter import WEIGHTS, Adapter, read_adapter
from raft_cli.train.merging.shards import Stored, read_stored
from raft_cli.weights import list_shards

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Match:
    """A run and its base.

    Attributes:
        stored: How the base stores its weights.
        obstacle: Why the adapter cannot be merged a tensor at a time; empty when it can.
    """

    run: Path
    manifest: Mapping[str, Any]
    adapter: Adapter
    base: ModelFolder
    stored: Mapping[str, Stored]
    obstacle: str


def choose_base(run: Path, manifest: Mapping[str, Any], given: str) -> ModelFolder:
    """Return the base model to merge a run into: as given, else as the run remembers it.

    Raises:
        ModelError: It is nowhere, or quantised.
    """
    folder = find_model(given, weights=True) if given else find_base(run, manifest.get("base") or {})
    if folder.config.get("quantization_config"):
        raise ModelError(
            f"{folder.name} is a quantised model, and merging into it would lose accuracy; point to the same model in "
            "16 bits with --base PATH_OR_ID"
        )
    return folder


def read_run(run: Path) -> dict[str, Any]:
    """Return the manifest of a finished run that holds an adapter.

    Raises:
        ModelError: It is none, is not finished, or is a whole model.
    """
    if not (run / MANIFEST).is_file():
        started = (run / "metrics.jsonl").is_file() or (run / "checkpoints").is_dir()
        why = "is not finished; run the same `raft train` again" if started else "is no run of `raft train`"
        raise ModelError(f"{run} {why} (no {MANIFEST} there)")
    manifest = read_json(run / MANIFEST)
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if kind == "merged":
        raise ModelError(f"{run} is merged already: a whole model, to be used as it is")
    if kind != "run":
        raise ModelError(f"{run} is no run of `raft train` (its {MANIFEST} is of {kind or 'something else'})")
    if not manifest.get("complete"):
        raise ModelError(f"{run} is not finished; run the same `raft train` again")
    if not (run / WEIGHTS).is_file():
        if manifest.get("config", {}).get("method") == "full":
            raise ModelError(f"{run} was trained with --method full: it is a whole model already, use it as it is")
        raise ModelError(f"{run} has lost its {WEIGHTS}; train again, or copy it back")
    return dict(manifest)


def match_run(run: Path, manifest: Mapping[str, Any], base: ModelFolder) -> Match:
    """Read adapter and base, and check that they belong together.

    Raises:
        ModelError: They do not, or a file is damaged.
    """
    adapter = read_adapter(run)
    stored = read_stored(list_shards(base.path))
    known = manifest.get("base") or {}
    made_for, found = known.get("architecture"), (base.config.get("architectures") or [None])[0]
    if made_for and found and made_for != found:
        raise ModelError(f"{base.name} is a {found}, but {run} was trained on a {made_for}: {known.get('name')}")
    _check_shapes(run, base, adapter, stored)
    tied = base.config.get("tie_word_embeddings") or "lm_head.weight" not in stored
    if tied and (odd := [name for name in (*adapter.layers, *adapter.others) if "lm_head" in name or "embed" in name]):
        raise ModelError(f"{run} changes {odd[0]}, which {base.name} uses for input and output; serve it unmerged")
    check_base(run, known, base)
    renamed = [name for name in adapter.layers if name not in stored]
    obstacle = adapter.obstacle or (f"the base stores {renamed[0]} under another name" if renamed else "")
    return Match(run, manifest, adapter, base, stored, obstacle)


def _check_shapes(run: Path, base: ModelFolder, adapter: Adapter, stored: Mapping[str, Stored]) -> None:
    for name, factors in adapter.layers.items():
        if (weight := stored.get(name)) is None:
            continue
        if not weight.real:
            raise ModelError(f"{base.name}: {name} is quantised; point to the model in 16 bits with --base PATH_OR_ID")
        due = (factors.b.shape[0], factors.a.shape[1])
        if weight.shape != due:
            raise ModelError(
                f"{base.name} is not the base of {run}: its {name} is {_show(weight.shape)}, the adapter's {_show(due)}"
            )


def _show(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
