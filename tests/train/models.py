"""Model folders without weights, made on the spot: the tokenizers and chat templates of four families."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FAMILIES = ("chatml", "llama3", "llama2", "base")
TEXTS = (
    "The pump runs for 14 seconds after each start, and it needs 230 volts and two litres of water.",
    "How long are logs kept, and who may read them? <DOCUMENT>Logs are kept for 30 days.</DOCUMENT>",
    "##Reason: The document says ##begin_quote##kept for 30 days##end_quote##, so that\n<ANSWER>: 30 days",
    "水泵每次启动后运行十四秒，需要二百三十伏电压和两升水。日志保存多久？谁可以阅读这些日志？",
)

CHATML = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
    "{%- endif %}{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}\n"
)
LLAMA3 = (
    "{{- bos_token }}\n{%- for message in messages %}\n"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim }}"
    "{{- '<|eot_id|>' }}\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}\n"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set turns = messages[1:] %}{% set system = messages[0]['content'] %}"
    "{% else %}{% set turns = messages %}{% set system = false %}{% endif %}{% for message in turns %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if loop.index0 == 0 and system %}"
    "{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_model(folder: Path, family: str, *, texts: Sequence[str] = TEXTS, vocabulary: int = 600) -> Path:
    """Write tokenizer, template and configuration of a family (`FAMILIES`), as a model folder has them."""
    folder.mkdir(parents=True, exist_ok=True)
    build = {"chatml": _chatml, "llama3": _llama3, "llama2": _llama2, "base": _base}[family]
    tokenizer, template, tokens = build(texts, vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **tokens}
    write_json(folder / "tokenizer_config.json", settings)
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    write_json(folder / "config.json", describe_llama(tokenizer, tokens))
    return folder


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def describe_llama(tokenizer: Tokenizer, tokens: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a tiny Llama for a tokenizer."""
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "bos_token_id": tokenizer.token_to_id(tokens.get("bos_token") or "") if tokens.get("bos_token") else None,
        "eos_token_id": tokenizer.token_to_id(tokens["eos_token"]),
        "torch_dtype": "float32",
    }


def _train_bytes(texts: Sequence[str], vocabulary: int, special: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _add_opening(tokenizer: Tokenizer, token: str) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", special_tokens=[(token, tokenizer.token_to_id(token))]
    )


def _chatml(texts: Sequence[str], vocabulary: int) -> tuple[Tokenizer, str, dict[str, Any]]:
    tokenizer = _train_bytes(texts, vocabulary, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer, CHATML, {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def _llama3(texts: Sequence[str], vocabulary: int) -> tuple[Tokenizer, str, dict[str, Any]]:
    special = "<|begin_of_text|> <|end_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|>".split()
    tokenizer = _train_bytes(texts, vocabulary, [*special, "<|finetune_right_pad_id|>"])
    _add_opening(tokenizer, "<|begin_of_text|>")
    return tokenizer, LLAMA3, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}


def _base(texts: Sequence[str], vocabulary: int) -> tuple[Tokenizer, str, dict[str, Any]]:
    tokenizer = _train_bytes(texts, vocabulary, ("<|begin_of_text|>", "<|end_of_text|>"))
    _add_opening(tokenizer, "<|begin_of_text|>")
    return tokenizer, "", {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}


def _llama2(texts: Sequence[str], vocabulary: int) -> tuple[Tokenizer, str, dict[str, Any]]:
    """Make what sentencepiece makes: pieces with a mark for the blank before them, bytes for what is in no piece."""
    learned = Tokenizer(models.BPE(unk_token="<unk>"))
    learned.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    learned.train_from_iterator(
        [piece for text in texts for piece in text.split("\n")],
        trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False),
    )
    made = json.loads(learned.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [piece for piece in sorted(made["vocab"], key=made["vocab"].get) if piece not in pieces]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in made["merges"]]
    tokenizer = Tokenizer(
        models.BPE(
            {piece: at for at, piece in enumerate(pieces)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in pieces[:3]])
    _add_opening(tokenizer, "<s>")
    return tokenizer, LLAMA2, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
