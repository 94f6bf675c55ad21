"""The other way to merge, through peft with the whole model in memory: for what goes beyond plain layers."""

import warnings
from pathlib import Path

from raft_cli.errors import ModelError
from raft_cli.model import ModelFolder
from raft_cli.train.merging.shards import PRECISIONS, name_type
from raft_cli.train.worker import quiet_libraries
from raft_cli.weights import hash_file, list_shards


def merge_with_peft(run: Path, base: ModelFolder, out: Path, *, precision: str) -> dict[str, str]:
    """Write the merged model to `out`, and return the SHA-256 of each file of weights.

    Raises:
        ModelError: peft or transformers cannot load base or adapter.
    """
    import torch

    if base.config.get("auto_map"):
        raise ModelError(
            f"{base.name} brings its own Python code, which merging this adapter would have to run; serve it unmerged"
        )
    quiet_libraries()
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    dtype = "auto" if precision == "auto" else getattr(torch, name_type(PRECISIONS[precision]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoModelForCausalLM.from_pretrained(str(base.path), local_files_only=True, dtype=dtype)
            merged = PeftModel.from_pretrained(model, str(run)).merge_and_unload(safe_merge=True)
            merged.save_pretrained(str(out))
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"{run} cannot be merged into {base.name}: {error}") from error
    return {path.name: hash_file(path) for path in list_shards(out)}
