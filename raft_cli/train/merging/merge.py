"""An adapter into its base: a whole model for servers that know no adapters. Always into 16 or 32-bit weights.

Works a tensor at a time, so that a large model needs little memory; leaves to peft what that way does not cover.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raft_cli import __version__
from raft_cli.errors import ConfigError, MissingExtra, ModelError
from raft_cli.progress import Progress
from raft_cli.store import read_json, write_json, write_text
from raft_cli.train.merging.adapter import WEIGHTS
from raft_cli.train.merging.match import MANIFEST, Match, choose_base, match_run, read_run
from raft_cli.train.merging.place import check_free, make_folder
from raft_cli.train.merging.shards import PRECISIONS, name_type, read_stored, rewrite_shard, write_index
from raft_cli.train.merging.unload import merge_with_peft
from raft_cli.train.reports.card import render_merged_card
from raft_cli.train.units import show_bytes
from raft_cli.weights import hash_file, list_shards

_CONFIG, _GENERATION = "config.json", "generation_config.json"
_FROM_RUN = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")
# What converters and processors look for; code that the configuration names; licences, which go with the weights.
_FROM_BASE = (
    *("tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json", "preprocessor_config.json"),
    *("processor_config.json", "*.py", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*"),
)
_QUANTISED = "trained over a 4-bit base and merged into the 16-bit one: expect small differences; evaluate this model"


@dataclass(frozen=True, slots=True)
class Merged:
    """What was written.

    Attributes:
        layers: Weights that the adapter changed.
        obstacle: Why peft merged it, with the whole model in memory; empty when it went a tensor at a time.
        files: SHA-256 of each file of weights.
        size: Bytes of the weights.
        precisions: Types of its floating-point numbers.
        quantised: Whether the adapter was trained over a 4-bit base, so that the merged model differs a little.
    """

    out: Path
    base: str
    layers: int
    obstacle: str
    files: Mapping[str, str]
    size: int
    precisions: tuple[str, ...]
    quantised: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it was made."""
        notes = []
        if self.quantised:
            notes.append(_QUANTISED)
        if self.obstacle:
            notes.append(f"merged by peft, with the whole model in memory, because {self.obstacle}")
        return tuple(notes)


def merge_run(
    run: Path, out: Path, *, base: str = "", precision: str = "auto", progress: Progress | None = None
) -> Merged:
    """Write the model that a run's base and adapter make together to a new folder.

    Args:
        base: Folder or Hub id of the base, where it is not found as the run names it.
        precision: `bf16`, `fp16`, `fp32`, or `auto`: that of the base.

    Raises:
        ModelError: `run` is none or has no adapter, its base is missing or another, or `out` is taken or cannot be
            written; nothing is left of `out` then.
        ConfigError: `precision` is none of these.
        MissingExtra: torch is not installed.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ConfigError(f"--dtype {precision}: choose from auto, {', '.join(PRECISIONS)}")
    if not (find_spec("torch") and find_spec("peft")):
        raise MissingExtra("raft merge needs torch and peft: pip install 'raft-cli[train]'")
    check_free(out)
    manifest = read_run(run)
    match = match_run(run, manifest, choose_base(run, manifest, base))
    with make_folder(out) as part:
        _check_space(part, match, precision)
        if match.obstacle:
            files = merge_with_peft(run, match.base, part, precision=precision)
        else:
            files = _merge_shards(match, part, precision, progress or Progress(quiet=True))
        _copy_settings(match, part, precision)
        done = _sum_up(match, out, part, files)
        record = _build_manifest(match, done)
        write_text(part / "README.md", render_merged_card(record, manifest))
        write_json(part / MANIFEST, record)
    return done


def _merge_shards(match: Match, part: Path, precision: str, progress: Progress) -> dict[str, str]:
    shards = list_shards(match.base.path)
    seen: dict[str, str] = {}
    hashes: dict[str, str] = {}
    progress.open("merging", len(match.stored), " tensors")
    try:
        for path in shards:

            def change(name: str, weight: Any, shard: str = path.name) -> Any:  # noqa: ANN401 - a tensor
                seen[name] = shard
                progress.show(len(seen), lambda: shard)
                return match.adapter.change(name, weight)

            hashes[path.name] = rewrite_shard(path, part / path.name, change, precision=precision)
    finally:
        progress.close()
    if len(shards) > 1:
        write_index(part, seen, sum(each.cast(precision).size for each in match.stored.values()))
    return hashes


def _check_space(part: Path, match: Match, precision: str) -> None:
    needed = sum(each.cast(precision).size for each in match.stored.values())
    free = shutil.disk_usage(part).free
    if needed > free:
        raise ModelError(f"the merged model takes {show_bytes(needed)}, but {part.parent} has {show_bytes(free)} free")


def _copy_settings(match: Match, part: Path, precision: str) -> None:
    """Copy what belongs to the model beside its weights: the tokenizer of the run, the rest of the base."""
    for folder, patterns in ((match.run, _FROM_RUN), (match.base.path, (*_FROM_RUN, *_FROM_BASE))):
        for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
            if not (part / path.name).exists():
                shutil.copyfile(path, part / path.name)
    if not (part / _CONFIG).is_file():
        config = dict(match.base.config)
        if precision != "auto":
            config.pop("torch_dtype", None)
            config["dtype"] = name_type(PRECISIONS[precision])
        write_json(part / _CONFIG, config)
    _write_generation(match, part)


def _write_generation(match: Match, part: Path) -> None:
    """Write the settings for generation; servers stop at their end tokens, so the one learnt is among them."""
    held: dict[str, Any] = {}
    for folder in (match.run, match.base.path):
        if not held and (folder / _GENERATION).is_file():
            held = read_json(folder / _GENERATION)
    end = (match.manifest.get("recipe") or {}).get("end_id")
    ends = held.get("eos_token_id", match.base.config.get("eos_token_id"))
    known = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if end is not None and end not in known:
        known = [*known, end]
    if known:
        held["eos_token_id"] = known if len(known) > 1 else known[0]
    if held:
        write_json(part / _GENERATION, held)


def _sum_up(match: Match, out: Path, part: Path, files: Mapping[str, str]) -> Merged:
    stored = read_stored(list_shards(part)).values()
    return Merged(
        out=out,
        base=match.base.name,
        layers=len(match.adapter.layers),
        obstacle=match.obstacle,
        files=files,
        size=sum(each.size for each in stored),
        precisions=tuple(sorted({name_type(each.type) for each in stored if each.real})),
        quantised=(match.manifest.get("config") or {}).get("method") == "qlora",
    )


def _build_manifest(match: Match, done: Merged) -> dict[str, Any]:
    config = match.adapter.config
    return {
        "kind": "merged",
        "complete": True,
        "raft": __version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": {**(match.manifest.get("base") or {}), "path": str(match.base.path)},
        "run": {
            "path": str(match.run.resolve()),
            "manifest": hash_file(match.run / MANIFEST),
            "adapter": hash_file(match.run / WEIGHTS),
        },
        "adapter": {
            "rank": config.get("r"),
            "alpha": config.get("lora_alpha"),
            "rslora": bool(config.get("use_rslora")),
            "dora": bool(config.get("use_dora")),
            "layers": done.layers,
            "quantised": done.quantised,
            "way": f"peft, because {done.obstacle}" if done.obstacle else "tensor by tensor",
        },
        "weights": {"files": dict(done.files), "bytes": done.size, "types": list(done.precisions)},
        "prompt": match.manifest.get("prompt"),
        "data": match.manifest.get("data"),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "safetensors")},
    }
