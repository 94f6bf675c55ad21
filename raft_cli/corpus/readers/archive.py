"""Opens the ZIP files that office formats and books are, and refuses those that unpack to gigabytes."""

import io
import zipfile

from raft_cli.corpus.readers.result import Unreadable

_MOST_BYTES = 512_000_000
_MOST_RATIO = 100
_RATIO_MATTERS = 10_000_000
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_FLAG_ENCRYPTED = 0x1


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Open a ZIP file after a look at its directory alone; nothing is unpacked.

    Raises:
        Unreadable: It is encrypted, no ZIP file, or unpacks to far more than a document holds.
    """
    refuse_encrypted_office(data)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise Unreadable("damaged", f"not a complete file of its format: {error}") from error
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if total > _MOST_BYTES or (total > _RATIO_MATTERS and total > _MOST_RATIO * len(data)):
        raise Unreadable("archive-bomb", f"{len(data) / 1e6:.1f} MB would unpack to {total / 1e6:.0f} MB")
    if any(entry.flag_bits & _FLAG_ENCRYPTED for entry in entries):
        raise Unreadable("encrypted", "protected by a password; save it without one")
    return archive


def refuse_encrypted_office(data: bytes) -> None:
    """Raise Unreadable for an office file wrapped in the container that holds encrypted ones."""
    if not data.startswith(_COMPOUND_FILE):
        return
    if _ENCRYPTED_PACKAGE in data:
        raise Unreadable("encrypted", "protected by a password; save it without one")
    raise Unreadable("unsupported", "a file of the old binary format under a new name; save it anew")
