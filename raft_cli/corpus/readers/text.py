"""Bytes to text in whatever encoding, and the formats that are nothing but text."""

import codecs
import re

from raft_cli.corpus.readers.result import Reading, Unreadable, clean_text, make_document

# UTF-32 first: its little-endian mark begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Supersets that decode what pages and detectors name too narrowly.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "hz": "hz", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "cp950"}
_SAMPLE = 200_000
_ESCAPES = (b"\x1b$", b"\x1b(", b"~{")
_BAD_SHARE = 0.05


def decode_text(data: bytes, declared: str = "") -> str:
    """Decode by byte order mark, strict UTF-8, the `declared` encoding, then detection.

    Raises:
        Unreadable: The bytes are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data:
        return _decode_utf16(data)
    if not any(escape in data for escape in _ESCAPES) and (text := _try_decode(data, "utf-8")) is not None:
        return text
    if declared and (text := _try_decode(data, _widen(declared))) is not None:
        return text
    return _decode_damaged_utf8(data) or _decode_detected(data)


def _try_decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _widen(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        return encoding
    return _WIDER.get(name, name)


def _decode_utf16(data: bytes) -> str:
    """Decode UTF-16 that lacks its mark, recognised by NUL bytes on one side only."""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    text = _try_decode(data, encoding) if min(even, odd) * 20 <= max(even, odd) else None
    if text is None or len(data) > 40 * max(even, odd):
        raise Unreadable("unsupported", "the content is binary, not text")
    return text


def _decode_damaged_utf8(data: bytes) -> str:
    """Decode UTF-8 with a few broken bytes, which a detector would take for another encoding; else nothing."""
    if any(escape in data for escape in _ESCAPES):
        return ""
    text = data.decode("utf-8", "replace")
    beyond_ascii = len(re.findall("[^\x00-\x7f]", text))
    return text if text.count("\ufffd") <= _BAD_SHARE * beyond_ascii else ""


def _decode_detected(data: bytes) -> str:
    import chardet

    found = chardet.detect(data[:_SAMPLE])["encoding"]
    if not found:
        raise Unreadable("unsupported", "the content is binary, not text in a known encoding")
    text = data.decode(_widen(found), "replace")
    if text.count("\ufffd") > _BAD_SHARE * len(text):
        raise Unreadable("damaged", f"the text is not valid {found}; save it as UTF-8")
    return text


def read_plain(data: bytes, source: str) -> Reading:
    """Read prose without markup, or source code."""
    return [make_document(source, clean_text(decode_text(data)), plain=True)], []
