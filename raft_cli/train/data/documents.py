"""The tagged documents inside a prompt: read them, take some out. Pure; knows neither rows nor models."""

import re
from collections.abc import Collection

_DOCUMENT = re.compile(r"<DOCUMENT>(.*?)</DOCUMENT>\n?", re.DOTALL)


def read_documents(prompt: str) -> list[str]:
    """Return the texts between the document tags of a prompt, in order."""
    return _DOCUMENT.findall(prompt)


def read_spans(prompt: str) -> list[str]:
    """Return the documents of a prompt with their tags and the newline behind them."""
    return [match.group() for match in _DOCUMENT.finditer(prompt)]


def drop_documents(prompt: str, gone: Collection[int]) -> str:
    """Return a prompt without the documents at the positions `gone`, tags and newline included."""
    pieces, end = [], 0
    for at, match in enumerate(_DOCUMENT.finditer(prompt)):
        if at in gone:
            pieces.append(prompt[end : match.start()])
            end = match.end()
    return "".join([*pieces, prompt[end:]])
