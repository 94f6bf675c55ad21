"""A tiny model of random weights, to try training and evaluation without a download. Its answers mean nothing."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from raft_cli.corpus.read import find_files, read_file
from raft_cli.cot import BEGIN, END, TAG
from raft_cli.errors import ConfigError, MissingExtra
from raft_cli.resources import find_resource
from raft_cli.store import explain_write_error

PAD, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SMOKE_KEY = "raft_smoke"  # in config.json: cards and reports say that the figures mean nothing

_HEAD_SIZE = 16
_PLAIN_TEXT = (".md", ".txt", ".html", ".jsonl")  # read the same whatever version of a PDF library is installed
_FILE_BYTES = 1 << 20
_MARKS = f"<DOCUMENT>.</DOCUMENT>\n<DOCUMENT>.</DOCUMENT>\n\n{BEGIN}.{END}\n{TAG} .\nsystem\nuser\nassistant\n"
_MARK_REPEATS = 100  # enough for the marks to become words of the tokenizer

_TEMPLATE = f"""\
{{%- for message in messages %}}
    {{{{- '{START}' + message['role'] + '\\n' + message['content'] + '{STOP}\\n' }}}}
{{%- endfor %}}
{{%- if add_generation_prompt %}}
    {{{{- '{START}assistant\\n' }}}}
{{%- endif %}}
"""
_README = """\
# A smoke model

{parameters:,} random weights and a tokenizer of {vocabulary:,} entries, written by
`raft init --tiny-model` with seed {seed}.

It is there to try `raft train` and `raft eval` on any machine, without a download. It has learnt
nothing: its answers mean nothing, before training and after it, and so do the figures of an
evaluation. Its config.json says `"raft_smoke": true`.

Architecture: Llama, {layers} layers of width {hidden}, a context of {context:,} tokens, float32.
Chat template: ChatML.
"""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A tiny model on disk.

    Attributes:
        parameters: Number of its weights.
        vocabulary: Entries of its tokenizer.
        context: Most tokens that it reads.
    """

    path: Path
    parameters: int
    vocabulary: int
    context: int


def write_tiny_model(
    folder: Path, *, seed: int = 42, vocabulary: int = 2048, hidden: int = 64, layers: int = 2, context: int = 8192
) -> TinyModel:
    """Write a Llama of random weights and a tokenizer trained on the sample corpus, as transformers loads them.

    The same arguments give the same bytes with the same versions of torch, transformers and tokenizers.

    Args:
        folder: Where to write; it appears only when whole.
        vocabulary: Most entries of the tokenizer; at least 320 (every byte, the special tokens, some words).
        hidden: Width of the model, a multiple of 32.

    Raises:
        ConfigError: `folder` holds something already; nothing is overwritten.
        MissingExtra: torch, transformers or tokenizers is not installed.
        DatasetError: The disk is full or the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--tiny-model {folder} exists already; choose another folder")
    for name in ("tokenizers", "torch", "transformers"):
        if find_spec(name) is None:
            raise MissingExtra(f"--tiny-model needs {name}: pip install 'raft-cli[train]'")
    core = _train_tokenizer(vocabulary)
    entries = core.get_vocab_size(with_added_tokens=True)
    config, weights, parameters = _draw_model(core, seed=seed, hidden=hidden, layers=layers, context=context)
    readme = _README.format(
        parameters=parameters, vocabulary=entries, seed=seed, layers=layers, hidden=hidden, context=context
    )
    files = {
        **_render_tokenizer(core, context),
        "config.json": config,
        "model.safetensors": weights,
        "README.md": readme.encode(),
    }
    _write_folder(folder, files)
    return TinyModel(path=folder, parameters=parameters, vocabulary=entries, context=context)


def _read_samples() -> Iterator[str]:
    """Yield the sample corpus in English and Chinese, and the marks of RAFT as ordinary text."""
    for file in find_files([str(find_resource("sample_corpus"))]):
        if file.path.suffix in _PLAIN_TEXT:
            for document in read_file(file, size_limit=_FILE_BYTES)[0]:
                yield document.text
    yield _MARKS * _MARK_REPEATS


def _train_tokenizer(vocabulary: int) -> Any:  # noqa: ANN401 - untyped library
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, STOP],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(_read_samples(), trainer)
    return core


def _render_tokenizer(core: Any, context: int) -> dict[str, bytes]:  # noqa: ANN401 - untyped library
    stop, pad = core.token_to_id(STOP), core.token_to_id(PAD)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": STOP,
        "pad_token": PAD,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": (core.to_str(pretty=True) + "\n").encode(),
        "tokenizer_config.json": _to_json(settings),
        "chat_template.jinja": _TEMPLATE.encode(),
        "generation_config.json": _to_json({"do_sample": False, "eos_token_id": stop, "pad_token_id": pad}),
    }


def _draw_model(
    core: Any,  # noqa: ANN401 - untyped library
    *,
    seed: int,
    hidden: int,
    layers: int,
    context: int,
) -> tuple[bytes, bytes, int]:
    """Return config.json, the weights as safetensors, and their number. The global random state is left as it was."""
    import torch
    from safetensors.torch import save
    from transformers import LlamaConfig, LlamaForCausalLM

    settings: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": core.get_vocab_size(with_added_tokens=True),
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // _HEAD_SIZE,
        "num_key_value_heads": hidden // _HEAD_SIZE // 2,
        "max_position_embeddings": context,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": core.token_to_id(STOP),
        "pad_token_id": core.token_to_id(PAD),
        "dtype": "float32",
        SMOKE_KEY: True,
    }
    config = LlamaConfig(**settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    del weights["lm_head.weight"]  # the embeddings, once more
    described = config.to_json_string(use_diff=True).encode()
    return described, save(weights, metadata={"format": "pt"}), sum(value.numel() for value in weights.values())


def _to_json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write files to a folder that appears only when whole; one that was there and empty is filled."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".raft-", dir=folder.parent) as place:
            made = Path(place) / "model"
            made.mkdir()
            for name, content in files.items():
                (made / name).write_bytes(content)
            if folder.is_dir():  # perhaps the current one: its place is not taken by another
                for name in files:
                    (made / name).replace(folder / name)
            else:
                made.replace(folder)
    except OSError as error:
        raise explain_write_error(folder, error) from error
