"""The base of a run: found where its manifest says, and checked to hold the weights that the run was trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raft_cli.errors import ModelError
from raft_cli.model import ModelFolder, find_model
from raft_cli.weights import hash_weights


def find_base(run: Path, known: Mapping[str, Any], *, otherwise: str = "") -> ModelFolder:
    """Return the base model of a run: where it lay in training, else by its name.

    Args:
        known: What the run's manifest says of its base; empty for a run that has none.
        otherwise: Its name, where the manifest has none.

    Raises:
        ModelError: It is nowhere.
    """
    path = str(known.get("path") or "")
    lies = bool(path) and Path(path).is_dir()
    name = path if lies else str(known.get("name") or otherwise or path)
    try:
        return find_model(name, weights=True, revision="" if lies else str(known.get("revision") or ""))
    except ModelError as error:
        raise ModelError(f"the base of {run} is not found; point to it with --base PATH_OR_ID\n{error}") from error


def check_base(run: Path, known: Mapping[str, Any], base: ModelFolder) -> str:
    """Return the SHA-256 of a base's weights, which must be those that the run was trained on.

    Raises:
        ModelError: They are others.
    """
    weights, expected = hash_weights(base.path), str(known.get("weights") or "")
    if expected and weights != expected:
        raise ModelError(
            f"{base.path} holds other weights than those {run} was trained on (SHA-256 {expected[:12]}…, revision "
            f"{known.get('revision') or 'not recorded'}); point to those with --base PATH_OR_ID"
        )
    return weights
