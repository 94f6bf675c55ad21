"""EPUB: the pages of a book in reading order, each by the reader of HTML."""

import posixpath
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from raft_cli.corpus.readers.archive import open_archive
from raft_cli.corpus.readers.html import convert_html, open_empty_elements
from raft_cli.corpus.readers.result import Reading, Unreadable, clean_text, make_document
from raft_cli.corpus.readers.text import decode_text

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_FONT_MANGLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read_epub(data: bytes, source: str) -> Reading:
    """Read the pages that the book's spine lists; a page that is missing is named and passed over."""
    with open_archive(data) as archive:
        if _is_locked(archive):
            raise Unreadable("encrypted", "protected by the shop it was bought from")
        package = _find_package(archive)
        elements = list(_read_elements(archive, package))
        pages: list[str] = []
        problems: list[Unreadable] = []
        for name in _list_pages(elements, posixpath.dirname(package)):
            try:
                pages.append(convert_html(decode_text(archive.read(name)))[0])
            except KeyError:
                problems.append(Unreadable("bad-record", f"page {name} is listed but missing"))
    text = clean_text("\n\n".join(page for page in pages if page))
    title = next((node.text() for tag, node in elements if tag == "title"), "")
    return [make_document(source, text, title=title.strip())], problems


def _is_locked(archive: zipfile.ZipFile) -> bool:
    """Tell whether more than the fonts is encrypted."""
    if "META-INF/encryption.xml" not in archive.namelist():
        return False
    methods = [
        node.attributes.get("algorithm") or ""
        for tag, node in _read_elements(archive, "META-INF/encryption.xml")
        if tag == "encryptionmethod"
    ]
    return any(method not in _FONT_MANGLING for method in methods)


def _read_elements(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[str, "LexborNode"]]:
    """Yield the elements of an XML file with their names, without prefix and in lower case.

    An HTML parser reads them well enough, and knows no entities that could expand.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(open_empty_elements(clean_text(decode_text(archive.read(name)))))
    for node in tree.root.traverse() if tree.root else ():
        yield (node.tag or "").rpartition(":")[2].lower(), node


def _find_package(archive: zipfile.ZipFile) -> str:
    try:
        for tag, node in _read_elements(archive, "META-INF/container.xml"):
            path = node.attributes.get("full-path")
            if tag == "rootfile" and path:
                return path
    except KeyError as error:
        raise Unreadable("damaged", "no EPUB: META-INF/container.xml is missing") from error
    raise Unreadable("damaged", "no EPUB: META-INF/container.xml names no package")


def _list_pages(elements: list[tuple[str, "LexborNode"]], folder: str) -> Iterator[str]:
    """Yield the paths of the spine's pages inside the archive."""
    items = {node.attributes.get("id"): node.attributes for tag, node in elements if tag == "item"}
    for tag, node in elements:
        item = items.get(node.attributes.get("idref")) if tag == "itemref" else None
        path = item.get("href") if item else None
        if item and path and "nav" not in (item.get("properties") or "").split():
            yield posixpath.normpath(posixpath.join(folder, unquote(path.partition("#")[0])))
