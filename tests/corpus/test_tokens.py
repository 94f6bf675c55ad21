"""Tokens are counted exactly, without a network, and nothing in a text upsets the count."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from raft_cli.corpus.chunk import split_document
from raft_cli.corpus.tokens import TokenCounter, estimate_tokens, load_counter
from raft_cli.data import Document
from raft_cli.errors import ConfigError

CORPUS = Path(__file__).parents[2] / "sample_corpus"
O200K = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
TEXT = "The valve opens slowly, at 7 bar. 阀门应当缓慢打开。" * 40


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k", "r50k"),  # as published in OpenAI's cookbook, "How to count tokens"
    [
        ("antidisestablishmentarianism", 6, 6, 5),
        ("2 + 2 = 4", 7, 7, 5),
        ("お誕生日おめでとう", 8, 9, 14),
        ("hello world", 2, 2, 2),
        ("", 0, 0, 0),
    ],
)
def test_known_counts(text: str, o200k: int, cl100k: int, r50k: int) -> None:
    counters = [load_counter(name) for name in ("o200k_base", "cl100k_base", "r50k_base")]
    assert all(counter.exact for counter in counters)
    assert [counter.count(text) for counter in counters] == [o200k, cl100k, r50k]


@pytest.mark.parametrize(("model", "name"), [("gpt-4o", "o200k_base"), ("gpt-4", "cl100k_base")])
def test_models_count_by_their_encoding(model: str, name: str) -> None:
    assert load_counter(model).name == name


def test_exact_without_any_socket(tmp_path: Path) -> None:
    code = """
import sys
def refuse(event, details):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"{event} {details}")
sys.addaudithook(refuse)
from raft_cli.corpus.tokens import load_counter
counter = load_counter("o200k_base")
print(counter.exact, counter.count("hello world"))
"""
    environment = {"TIKTOKEN_CACHE_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "2"]
    assert list(tmp_path.iterdir()) == []


def load_with_cache(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> TokenCounter:
    file = folder / hashlib.sha1(O200K.encode()).hexdigest()
    file.write_bytes(content)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
    counter = load_counter.__wrapped__("o200k_base")
    assert file.read_bytes() == content
    return counter


def test_a_broken_download_in_the_cache_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = load_with_cache(b"IQ== 0\nhalf a fi", tmp_path, monkeypatch)
    assert counter.exact and counter.count("hello world") == 2


def test_unknown_names_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.json").write_text("{}")
    for name, said in {
        "no-such-thing": "no tiktoken encoding",
        str(tmp_path / "empty"): "tokenizer.json",
        str(tmp_path / "broken.json"): "is not a tokenizer",
    }.items():
        with pytest.raises(ConfigError, match=said) as caught:
            load_counter(name)
        assert caught.value.exit_code == 2 and f"--tokenizer {name}" in str(caught.value)


def test_an_encoding_that_is_not_on_this_machine_is_estimated_and_says_so() -> None:
    counter = load_counter("gpt2")
    assert (counter.name, counter.exact) == ("estimate of gpt2", False)


def test_nothing_in_a_text_upsets_the_count() -> None:
    counter = load_counter("o200k_base")
    assert counter.count("<|endoftext|>") == counter.count("<|endoftext") + counter.count("|>") > 1
    assert 0 < counter.count(" " * 1_000_000) < 20_000
    assert counter.count("a\ud800b\udfff") > 2
    assert counter.count("😀\u200d\0\ufeff") > 3


def test_a_million_letters_are_counted_in_time() -> None:
    start = time.process_time()
    assert load_counter("o200k_base").count("a" * 1_000_000) == 125_000
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "name",
    ["rest-api.md", "faq.txt", "release-notes.md", "zh/installation-guide.md", "zh/maintenance-and-after-sales.txt"],
)
def test_estimate_is_near(name: str) -> None:
    text = (CORPUS / name).read_text(encoding="utf-8")
    exact = load_counter("o200k_base").count(text)
    assert abs(estimate_tokens(text) - exact) < 0.15 * exact


def test_estimate_of_little() -> None:
    assert [estimate_tokens(text) for text in ("", " ", "\n", "a", "😀")] == [0, 1, 1, 1, 1]


def make_tokenizer(folder: Path, *, truncate: bool = False, pad: bool = False, special: bool = False) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "<pad>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    if special:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    if truncate:
        tokenizer.enable_truncation(8)
    if pad:
        tokenizer.enable_padding(length=64, pad_id=1, pad_token="<pad>")
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("quirk", ["", "truncate", "pad", "special"])
def test_the_students_tokenizer_counts_the_text_alone(tmp_path: Path, quirk: str) -> None:
    path = make_tokenizer(tmp_path, **({quirk: True} if quirk else {}))
    plain = Tokenizer.from_str(json.dumps({**json.loads(path.read_text()), "truncation": None, "padding": None}))
    counter = load_counter(str(path))
    for text in ("The valve", TEXT, ""):
        assert counter.count(text) == len(plain.encode(text, add_special_tokens=False))
    chunks = split_document(Document("doc", "doc.md", "Doc", TEXT), counter=counter, size=32)
    assert len(chunks) >= 14 and max(chunk.tokens for chunk in chunks) <= 32


def test_a_model_folder_is_as_good_as_its_file_and_the_name_tells_versions_apart(tmp_path: Path) -> None:
    path = make_tokenizer(tmp_path)
    whole, file = load_counter(str(tmp_path)), load_counter(str(path))
    assert whole.count(TEXT) == file.count(TEXT) and whole.exact
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert whole.name == f"{tmp_path} ({digest})"
