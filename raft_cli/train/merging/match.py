"""A run and its base, read and checked to belong together, before one is merged into the other. Writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raft_cli.errors import ModelError
from raft_cli.model import ModelFolder, find_model
from raft_cli.store import read_json
from raft_cli.train.merging.adapter import WEIGHTS, Adapter, read_adapter
from raft_cli.train.merging.shards import Stored, read_stored
from raft_cli.weights import hash_weights, list_shards

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


def find_base(run: Path, manifest: Mapping[str, Any], given: str) -> ModelFolder:
    """Return the base model of a run: as given, else where it lay in training, else by its name.

    Raises:
        ModelError: It is nowhere, or quantised.
    """
    known = manifest.get("base") or {}
    path = str(known.get("path") or "")
    lies = bool(path) and Path(path).is_dir()
    name = given or (path if lies else str(known.get("name") or path))
    try:
        folder = find_model(name, weights=True, revision="" if given or lies else str(known.get("revision") or ""))
    except ModelError as error:
        raise ModelError(f"the base of {run} is not found; point to it with --base PATH_OR_ID\n{error}") from error
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
    if known.get("weights") and hash_weights(base.path) != known["weights"]:
        raise ModelError(
            f"{base.path} holds other weights than those {run} was trained on (SHA-256 {known['weights'][:12]}…, "
            f"revision {known.get('revision') or 'not recorded'}); point to those with --base PATH_OR_ID"
        )
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
