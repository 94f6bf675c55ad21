"""Counting tokens: with the student's tokenizer, with a tiktoken vocabulary found on this machine, or by estimate.

Never touches a network: tiktoken's own loader downloads and can hang for ever, so it is given the file instead.
"""

import contextlib
import functools
import hashlib
import os
import re
import tempfile
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raft_cli.errors import ConfigError, MissingExtra
from raft_cli.language import HAN, HANGUL, KANA

if TYPE_CHECKING:
    import tiktoken

_PIECE = 50_000
_VOCABULARY = re.compile(rb"IQ== 0\n(?:[A-Za-z0-9+/]+=* \d+\n)+")
_ESTIMATE = re.compile(
    rf"(?P<word>[^\W\d_{HAN}{KANA}{HANGUL}]+)|(?P<digits>\d{{1,3}})|(?P<han>[{HAN}])|(?P<kana>[{KANA}])"
    rf"|(?P<hangul>[{HANGUL}])|(?P<newline>\n+)|(?P<space>[^\S\n]+)|(?P<other>.)"
)
_WEIGHTS = {
    "digits": 1.638,
    "han": 0.83,
    "kana": 0.694,
    "hangul": 0.698,
    "newline": 1.223,
    "space": 0.0,
    "other": 0.5,
}


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of a text.

    Attributes:
        name: What counts, for the manifest: a resumed run must use the same.
        exact: False for the estimate (at most 14 % off in 9 of 10 passages).
        json: The tokenizer itself, where it came from a `tokenizer.json`: without its truncation and padding.
    """

    name: str
    exact: bool
    count: Callable[[str], int]
    json: str = field(default="", compare=False, repr=False)


@functools.cache
def load_counter(name: str) -> TokenCounter:
    """Return the counter called `name`: a tiktoken encoding or model, a model folder, or a tokenizer.json.

    Raises:
        ConfigError: There is no such encoding, folder or file.
        MissingExtra: A tokenizer file is given and the `tokenizers` package is not installed.
    """
    path = Path(name)
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return _load_file(name, file)
    encoding = _find_encoding(name)
    if not encoding:
        raise ConfigError(
            f"--tokenizer {name}: no folder with a tokenizer.json, no such file, and no tiktoken encoding"
        )
    try:
        built = _build_encoding(encoding)
    except LookupError:
        return TokenCounter(f"estimate of {encoding}", False, estimate_tokens)
    return TokenCounter(encoding, True, functools.partial(_count_tiktoken, built))


def estimate_tokens(text: str) -> int:
    """Estimate the length in o200k_base tokens from word, digit and character counts (weights fitted on manuals)."""
    total = 0.0
    for match in _ESTIMATE.finditer(text):
        group = match.lastgroup or "other"
        total += 0.957 + 0.114 * max(0, len(match.group()) - 6) if group == "word" else _WEIGHTS[group]
    return max(1, round(total)) if text else 0


def _load_file(name: str, file: Path) -> TokenCounter:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra(f"--tokenizer {name} needs the tokenizers package: pip install tokenizers") from error
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises a bare Exception, whatever is wrong with the file
        raise ConfigError(f"--tokenizer {name}: {file} is not a tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return TokenCounter(
        f"{name} ({digest})",
        True,
        lambda text: len(tokenizer.encode(text, add_special_tokens=False)),
        tokenizer.to_str(),
    )


def _find_encoding(name: str) -> str:
    import tiktoken
    from tiktoken.model import encoding_name_for_model

    if name in tiktoken.list_encoding_names():
        return name
    try:
        return encoding_name_for_model(name)
    except KeyError:
        return ""


def _build_encoding(name: str) -> "tiktoken.Encoding":
    """Build a tiktoken encoding by its own recipe, but with a vocabulary from this machine."""
    import tiktoken
    from tiktoken_ext import openai_public

    scope = {**vars(openai_public), "load_tiktoken_bpe": _load_vocabulary, "data_gym_to_mergeable_bpe_ranks": _refuse}
    for other, recipe in openai_public.ENCODING_CONSTRUCTORS.items():  # one recipe may build on another
        scope[other] = types.FunctionType(recipe.__code__, scope)
    return tiktoken.Encoding(**scope[name]())


def _refuse(**files: str) -> dict[bytes, int]:
    raise LookupError(str(files))


def _load_vocabulary(url: str, expected_hash: str | None = None) -> dict[bytes, int]:
    import base64

    for data in _vocabularies(url):
        if hashlib.sha256(data).hexdigest() == expected_hash:
            pairs = (line.split() for line in data.splitlines())
            return {base64.b64decode(token): int(rank) for token, rank in pairs}
    raise LookupError(url)


def _vocabularies(url: str) -> Iterator[bytes]:
    """Yield candidates for the file at `url`: tiktoken's cache, then those inside semantic-text-splitter's library."""
    folders = [os.environ.get("TIKTOKEN_CACHE_DIR"), os.environ.get("DATA_GYM_CACHE_DIR")]
    folders.append(str(Path(tempfile.gettempdir()) / "data-gym-cache"))
    for folder in filter(None, folders):
        with contextlib.suppress(OSError):  # not there, or another user's
            yield (Path(folder) / hashlib.sha1(url.encode()).hexdigest()).read_bytes()
    yield from _embedded_vocabularies()


def _embedded_vocabularies() -> Iterator[bytes]:
    import semantic_text_splitter

    folder = Path(semantic_text_splitter.__file__).parent
    for path in [*folder.glob("*.so"), *folder.glob("*.pyd"), *folder.glob("*.dylib")]:
        yield from (match.group() for match in _VOCABULARY.finditer(path.read_bytes()))


def _count_tiktoken(encoding: "tiktoken.Encoding", text: str) -> int:
    # Very long texts are counted in pieces: one run of a million blanks makes the library give up.
    return sum(
        len(encoding.encode(text[at : at + _PIECE], disallowed_special=())) for at in range(0, len(text), _PIECE)
    )
