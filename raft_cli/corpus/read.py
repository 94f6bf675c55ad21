"""From paths to documents: finds the files of a corpus and hands each to the reader of its format."""

import glob
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raft_cli.corpus.readers.epub import read_epub
from raft_cli.corpus.readers.html import read_html
from raft_cli.corpus.readers.markdown import read_markdown
from raft_cli.corpus.readers.pdf import read_pdf
from raft_cli.corpus.readers.records import read_json, read_jsonl
from raft_cli.corpus.readers.result import Reading, Unreadable
from raft_cli.corpus.readers.rst import read_rst
from raft_cli.corpus.readers.sheets import read_csv, read_workbook
from raft_cli.corpus.readers.slides import read_pptx
from raft_cli.corpus.readers.text import read_plain
from raft_cli.corpus.readers.word import read_docx
from raft_cli.data import Document
from raft_cli.errors import CorpusError

__all__ = ["SourceFile", "Unreadable", "find_files", "read_file"]

_CODE = (
    "bash bat c cc cfg clj cmake conf cpp cs css csh cu cxx dart el erl ex exs f f90 fs go gradle graphql groovy h hpp "
    "hs hxx ini java jl js jsx kt kts less lisp lua m mjs ml nim nix pas php pl pm properties proto ps1 py pyi r rb rs "
    "sass scala scm scss sh sol sql swift tcl tf toml ts tsx v vb vhd vue xml xsd xsl yaml yml zig zsh"
)
_Reader = Callable[[bytes, str], Reading]
_READERS: dict[str, _Reader] = {
    **dict.fromkeys(("", "txt", "text", "log", *_CODE.split()), read_plain),
    "md": read_markdown,
    "markdown": read_markdown,
    "mdx": read_markdown,
    "html": read_html,
    "htm": read_html,
    "xhtml": read_html,
    "rst": read_rst,
    "epub": read_epub,
    "pdf": read_pdf,
    "docx": read_docx,
    "pptx": read_pptx,
    "xlsx": read_workbook,
    "xls": read_workbook,
    "ods": read_workbook,
    "csv": read_csv,
    "tsv": read_csv,
    "json": read_json,
    "jsonl": read_jsonl,
    "ndjson": read_jsonl,
}
_ADVICE = {
    "doc": "save it as .docx",
    "odt": "save it as .docx",
    "rtf": "save it as .docx",
    "ppt": "save it as .pptx",
    "odp": "save it as .pptx",
}
# What a run of ours leaves beside its manifest; `manifest.json` alone is also a common file of web sites.
_OUTPUTS = (
    "train.jsonl",
    "rejected.jsonl",
    "documents.jsonl",
    "report.html",
    "adapter_config.json",
    "model.safetensors",
)
_DETAIL_LENGTH = 300


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the corpus.

    Attributes:
        source: Its path relative to the corpus, parts joined by `/`; the name alone for a single file.
    """

    path: Path
    source: str


def find_files(corpus: Sequence[str]) -> list[SourceFile]:
    """Return the files of folders (searched to the bottom), files and globs, each once, sorted by source.

    Hidden files, earlier outputs of ours and links that lead out of their folder are left out. Equal relative paths
    in two folders are told apart by the folders' names. A folder that may not be entered stands for its content.

    Raises:
        CorpusError: A path does not exist, or there is no file at all.
    """
    roots: dict[Path, Path] = {}
    for entry in corpus:
        for root, path in _expand(entry):
            roots.setdefault(path, root)
    if not roots:
        raise CorpusError(f"{', '.join(corpus) or 'corpus'}: no files found; name a folder that holds your documents")
    return sorted(_name_sources(roots), key=lambda file: file.source)


def _expand(entry: str) -> Iterator[tuple[Path, Path]]:
    """Yield root and path of each file that an entry of the command line stands for."""
    path = Path(entry).expanduser()
    if path.is_dir():
        root = path.resolve()
        yield from ((root, file) for file in _walk_folder(root, root))
    elif path.exists():
        root = path.parent.resolve()
        yield root, root / path.name
    elif glob.has_magic(entry):
        yield from _expand_glob(path)
    else:
        raise CorpusError(f"{entry}: no such file or folder; check the path")


def _expand_glob(pattern: Path) -> Iterator[tuple[Path, Path]]:
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts))
    root = Path(*fixed).resolve()
    matches = list(root.glob(str(Path(*pattern.parts[len(fixed) :]))))
    if not matches:
        raise CorpusError(f"{pattern}: nothing matches; check the path and the quotes around it")
    for match in map(Path.resolve, matches):
        if not match.is_relative_to(root) or _is_left_out(match, root):
            continue
        if match.is_dir():
            yield from ((root, file) for file in _walk_folder(match, root))
        elif match.is_file():
            yield root, match


def _is_left_out(path: Path, root: Path) -> bool:
    inner = path.relative_to(root)
    return any(part.startswith(".") for part in inner.parts) or any(
        _is_output(root / folder) for folder in (inner, *inner.parents)[:-1]
    )


def _walk_folder(folder: Path, root: Path) -> Iterator[Path]:
    """Yield the real paths of the files below `folder` that lie in `root`."""
    closed: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        here = Path(place)
        if here != root and _is_output(here):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = here / name
            real = path.resolve() if path.is_symlink() else path
            if not name.startswith(".") and real.is_relative_to(root) and real.is_file():
                yield real
    yield from closed


def _is_output(folder: Path) -> bool:
    if (folder / "journal.sqlite").exists():
        return True
    return (folder / "manifest.json").exists() and any((folder / name).exists() for name in _OUTPUTS)


def _name_sources(roots: dict[Path, Path]) -> Iterator[SourceFile]:
    """Name files by their path from the root, led by as many of the root's own parts as keep the names apart."""
    parts = dict.fromkeys(roots, 0)
    for _ in range(max(len(root.parts) for root in roots.values())):
        names = {path: _name_source(path, root, parts[path]) for path, root in roots.items()}
        count = Counter(names.values())
        clashing = [path for path, name in names.items() if count[name] > 1]
        if not clashing:
            break
        for path in clashing:
            parts[path] += 1
    return (SourceFile(path, name) for path, name in names.items())


def _name_source(path: Path, root: Path, parts: int) -> str:
    leading = root.parts[1:][-parts:] if parts else ()
    name = "/".join((*leading, *path.relative_to(root).parts)) or root.name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_file(file: SourceFile, *, size_limit: int) -> tuple[list[Document], list[Unreadable]]:
    """Return the documents of a file, never none, and what inside it could not be read.

    Args:
        file: What to read.
        size_limit: Bytes above which the file is not opened.

    Raises:
        Unreadable: The file gives no document at all.
    """
    reader = _choose_reader(file.path)
    data = _load(file.path, size_limit)
    try:
        return reader(data, file.source)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:
        # A damaged file makes the libraries raise anything: the one place where it becomes our own.
        detail = " ".join(f"{type(error).__name__}: {error}".split())
        raise Unreadable("damaged", detail[:_DETAIL_LENGTH]) from error


def _choose_reader(path: Path) -> _Reader:
    extension = path.suffix.lower().lstrip(".")
    if extension not in _READERS:
        advice = _ADVICE.get(extension, "remove it, or convert it to a format that is read")
        raise Unreadable("unsupported", f"files of type .{extension} are not read; {advice}")
    return _READERS[extension]


def _load(path: Path, size_limit: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > size_limit:
            raise Unreadable("oversized", f"{size / 1e6:.1f} MB is above the limit of {size_limit / 1e6:.0f} MB")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable("damaged", f"cannot be opened: {error.strerror}") from error
    if not data:
        raise Unreadable("empty", "the file holds no bytes")
    return data
