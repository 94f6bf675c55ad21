"""Find a model: a folder on disk or an id of the Hugging Face Hub, and read its tokenizer. Loads no weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raft_cli.data import Message
from raft_cli.errors import MissingExtra, ModelError
from raft_cli.student import Student
from raft_cli.template import compile_template

ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")
_SMALL = ["*.json", "*.jinja", "*.txt", "tokenizer.model", "*.tiktoken"]
_WEIGHTS = ["*.safetensors"]
_CODE = ["*.py"]
IGNORED = ["consolidated*", "*/*"]  # the weights once more, as Mistral and Meta name them; a star matches `/` as well


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk.

    Attributes:
        name: As the user gave it, a relative path made absolute: what an adapter remembers as its base.
        path: Where its files lie.
        config: Its `config.json`.
        revision: Commit of a model from the Hub, else empty.
    """

    name: str
    path: Path
    config: Mapping[str, Any]
    revision: str = ""

    @property
    def context(self) -> int:
        """Longest sequence in tokens, 0 when `config.json` does not say."""
        return read_context(self.config.get("text_config") or self.config)


def find_model(name: str, *, weights: bool, revision: str = "", code: bool = False) -> ModelFolder:
    """Return a model's folder, fetching it from the Hub when `name` is no folder.

    Args:
        weights: Whether the weights are needed too, or configuration and tokenizer only.
        code: Whether the model's own Python code is wanted as well.

    Raises:
        ModelError: There is no such model, it cannot be fetched, or the folder is none of a model.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _read_folder(str(path.resolve()), path.resolve(), weights=weights)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1 or path.parent.is_dir():
        raise ModelError(f"--model {name}: no such folder (and an id of the Hub looks like ORGANISATION/NAME)")
    fetched = _fetch(name, weights=weights, revision=revision, code=code)
    folder = _read_folder(name, fetched, weights=weights)
    return ModelFolder(folder.name, folder.path, folder.config, revision=fetched.name)


def choose_files(*, weights: bool, code: bool) -> list[str]:
    """Return the patterns of the files to fetch from the Hub; those of `IGNORED` are left out."""
    return [*_SMALL, *(_WEIGHTS if weights else ()), *(_CODE if code else ())]


def check_trainable(model: ModelFolder) -> None:
    """Make sure that adapters can be trained on a base and merged into it.

    Raises:
        ModelError: Its weights are quantised.
    """
    parts = (model.config, model.config.get("text_config"))
    if any(isinstance(part, Mapping) and part.get("quantization_config") for part in parts):
        raise ModelError(
            f"{model.name} is quantised already; give the model in 16 bits, with --method qlora to train over 4 bits"
        )


def _read_folder(name: str, path: Path, *, weights: bool) -> ModelFolder:
    if (path / "adapter_config.json").is_file():
        if not (path / "config.json").is_file():
            raise ModelError(f"{name} is an adapter, no whole model; `raft merge {name} -o DIR` makes one of it")
        raise ModelError(
            f"{name} holds a model and an adapter, and transformers would load both as one; take the adapter_* files "
            "away, or merge them first"
        )
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{name}: no config.json there; is it a folder of a transformers model?") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: config.json cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{name}: config.json cannot be read: not a JSON object")
    if weights and not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{name}: no *.safetensors there; weights in other formats are not loaded (and of a model of the Hub only "
            "the small files may have been fetched so far: fetch it where there is a network)"
        )
    return ModelFolder(name, path, config)


def _fetch(name: str, *, weights: bool, revision: str, code: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra(f"--model {name}: fetching it needs pip install 'raft-cli[train]'") from error
    wanted = choose_files(weights=weights, code=code)
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=wanted, ignore_patterns=IGNORED))
    except HFValidationError as error:
        raise ModelError(f"--model {name}: neither a folder nor an id of the Hub") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"--model {name}: not whole in the local cache, and the Hub cannot be reached (offline?); fetch it once "
            "where there is a network, or give a folder"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        why = {
            401: "not there, or not open to you (set HF_TOKEN)",
            403: "its terms are not accepted yet",
            404: "not there",
        }
        raise ModelError(f"--model {name}: {why.get(status, f'the Hub answered {status}')}") from error
    except OSError as error:
        raise ModelError(f"--model {name}: cannot be fetched: {error}") from error


def read_context(config: Mapping[str, Any]) -> int:
    """Return the longest sequence of a model in tokens, 0 when its configuration does not say.

    Where RoPE is scaled from a stated original length the scaled length counts, whether `max_position_embeddings` has
    it already (Llama 3, Phi-3 128k) or not (Qwen2.5 with YaRN). A factor without an original length is not applied:
    some models include it (Gemma 3), some do not.
    """
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    context = next((int(value) for name in names if isinstance(value := config.get(name), int | float)), 0)
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(rope, Mapping):
        return context
    original, factor = rope.get("original_max_position_embeddings"), rope.get("factor")
    if isinstance(original, int | float) and isinstance(factor, int | float):
        context = max(context, int(original * factor))
    return context


def load_student(folder: Path, *, exact: bool = False, code: bool = False) -> Student:
    """Read tokenizer and template of a model folder.

    Args:
        exact: Let transformers read them (needs torch), as servers do; otherwise its files are read directly, which is
            fast, and transformers only where they do not suffice.
        code: Whether Python code that comes with the tokenizer may be run.

    Raises:
        ModelError: There is no tokenizer there, or it has no token to end a turn with.
    """
    if exact or not (folder / "tokenizer.json").is_file():
        return _load_with_transformers(folder, code=code)
    from jinja2 import TemplateSyntaxError

    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("reading a model's tokenizer needs pip install 'raft-cli[train]'") from error
    try:
        core = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = {
            **_read_mapping(folder / "special_tokens_map.json"),
            **_read_mapping(folder / "tokenizer_config.json"),
        }
    except Exception as error:  # tokenizers raises bare exceptions
        raise ModelError(f"{folder}: its tokenizer cannot be read: {error}") from error
    core.no_padding()
    core.no_truncation()
    tokens = {role: text for role in ROLES if (text := _text_of(settings.get(role)))}
    template = _find_template(folder, settings)
    try:
        render = compile_template(template, tokens) if template else None
    except TemplateSyntaxError:
        return _load_with_transformers(folder, code=code)
    return Student(core, template=template, tokens=tokens, render=render, name=str(folder))


def _load_with_transformers(folder: Path, *, code: bool) -> Student:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ModelError(f"{folder}: no tokenizer.json there, and transformers is not installed") from error
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=code)
        core = tokenizer.backend_tokenizer
    except Exception as error:  # whatever a broken tokenizer makes transformers raise
        if not code and "trust_remote_code" in str(error):
            why = "its tokenizer is Python code of its own, which `raft train` runs with --trust-remote-code"
            raise ModelError(f"{folder}: {why}") from error
        raise ModelError(f"{folder}: its tokenizer cannot be read: {error}") from error

    held = tokenizer.chat_template or ""
    template = _choose_template(held) if isinstance(held, dict) else str(held)

    def render(messages: Sequence[Message], opened: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return str(
            tokenizer.apply_chat_template(turns, chat_template=template, add_generation_prompt=opened, tokenize=False)
        )

    core.no_padding()
    core.no_truncation()
    tokens = {role: text for role in ROLES if (text := getattr(tokenizer, role, None))}
    return Student(core, template=template, tokens=tokens, render=render if template else None, name=str(folder))


def _read_mapping(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _text_of(token: Any) -> str:  # noqa: ANN401 - a string, or a mapping with its content
    return str(token.get("content", "") if isinstance(token, dict) else token or "")


def _find_template(folder: Path, settings: Mapping[str, Any]) -> str:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    held = settings.get("chat_template") or ""
    return _choose_template({each["name"]: each["template"] for each in held}) if isinstance(held, list) else str(held)


def _choose_template(named: Mapping[str, str]) -> str:
    """Return the template for plain chat of several (`default`, `tool_use`, `rag`)."""
    return str(named.get("default") or next(iter(named.values()), ""))
