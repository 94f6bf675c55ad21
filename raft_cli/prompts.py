"""Find, check and fill prompt files; render what the student sees. The one place where a prompt takes shape."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from raft_cli.cot import escape
from raft_cli.data import Chunk, Message, make_id
from raft_cli.errors import PromptError
from raft_cli.resources import find_resource

LANGUAGES = ("en", "zh")
_VARIABLES = {
    "ask": {"count", "kinds", "language", "title", "document"},
    "ask_pair": {"count", "language", "title", "document"},
    "ask_again": {"count", "faults"},
    "answer": {"language", "title", "document", "question"},
    "answer_given": {"language", "title", "document", "question", "given"},
    "answer_again": {"fault"},
    "judge": {"document", "question", "answer"},
    "grade": {"question", "golds", "answer"},
    "grade_again": {"fault"},
    "format": set[str](),
    "absent": set[str](),
    "refuse": set[str](),
}
_SPLIT = re.compile(r"^=== user ===\s*$", re.MULTILINE)
_NAMES = {"en": "English", "zh": "简体中文", "ja": "Japanese", "ko": "Korean", "other": "the language of the document"}


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompt files of one language.

    Attributes:
        digests: Hash of each file, for the manifest.
    """

    language: str
    texts: dict[str, str]
    digests: dict[str, str]

    def fill(self, name: str, **values: object) -> tuple[Message, ...]:
        """Fill prompt `name` and return it as messages: a system part and a user part, or a user part alone.

        Raises:
            PromptError: A variable of the file has no value.
        """
        parts = _SPLIT.split(self.texts[name])
        roles = ("system", "user") if len(parts) == 2 else ("user",)
        return tuple(
            Message(role, Template(part).substitute(values).strip()) for role, part in zip(roles, parts, strict=True)
        )

    def fill_text(self, name: str, **values: object) -> str:
        """Fill a prompt that is a single text."""
        return self.fill(name, **values)[0].content


def load_prompts(folder: str = "") -> dict[str, Prompts]:
    """Read the prompts of every language, those in `folder` in place of ours.

    Raises:
        PromptError: The folder is missing, holds a file of an unknown name, or a file names an unknown variable,
            lacks one that it needs, or is divided more than once.
    """
    own = Path(folder) if folder else None
    if own and not own.is_dir():
        raise PromptError(f"--prompts {folder}: no such folder; `raft init DIR` writes one to edit")
    found = sorted(own.glob("*/*.txt")) if own else []
    if own and not found:
        raise PromptError(f"--prompts {folder}: no {'|'.join(LANGUAGES)}/*.txt in it; `raft init DIR` writes them all")
    for path in found:
        if path.stem not in _VARIABLES or path.parent.name not in LANGUAGES:
            raise PromptError(
                f"{path}: not a prompt of ours; expected {'|'.join(LANGUAGES)}/{'|'.join(_VARIABLES)}.txt"
            )
    return {language: _load_language(language, own) for language in LANGUAGES}


def _load_language(language: str, own: Path | None) -> Prompts:
    texts: dict[str, str] = {}
    for name, known in _VARIABLES.items():
        path = find_resource("prompts") / language / f"{name}.txt"
        if own and (own / language / f"{name}.txt").is_file():
            path = own / language / f"{name}.txt"
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PromptError(f"cannot read prompt {path}: {error}") from error
        _check_prompt(path, texts[name], known)
    return Prompts(language, texts, {name: make_id(text) for name, text in texts.items()})


def _check_prompt(path: Path, text: str, known: set[str]) -> None:
    template = Template(text)
    if not template.is_valid():
        raise PromptError(f"{path}: a $ that is no variable must be written as $$")
    used = set(template.get_identifiers())
    if unknown := sorted(used - known):
        raise PromptError(f"{path}: unknown variable ${unknown[0]}; known here: {', '.join(sorted(known)) or 'none'}")
    needed = known & {"document", "question", "given", "golds", "fault", "faults", "answer"}
    if missing := sorted(needed - used):
        raise PromptError(f"{path}: the variable ${missing[0]} is missing")
    if len(_SPLIT.findall(text)) > 1:
        raise PromptError(f"{path}: more than one `=== user ===` line")


def name_language(language: str) -> str:
    """Return how a prompt names the language to write in."""
    return _NAMES[language]


def render_documents(chunks: Sequence[Chunk]) -> str:
    """Return chunks as the tagged documents that teacher and student see, each followed by a newline."""
    return "".join(f"<DOCUMENT>{escape(chunk.text)}</DOCUMENT>\n" for chunk in chunks)


def render_instruction(question: str, chunks: Sequence[Chunk]) -> str:
    """Return the student's prompt, byte for byte that of the original RAFT code: documents, then the question."""
    return render_documents(chunks) + question


def render_title(chunk: Chunk) -> str:
    """Return where a chunk stands: the title of its document and the headings above it."""
    path = [chunk.title, *(heading for heading in chunk.heading if heading != chunk.title)]
    return " > ".join(escape(part) for part in path if part)
