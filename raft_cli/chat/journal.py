"""Every reply on disk before it is used: SQLite, one commit a reply. Knows neither stages nor models."""

import hashlib
import sqlite3
import time
from pathlib import Path

import orjson

from raft_cli.data import Message, Reply, Sampling
from raft_cli.errors import DatasetError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, finish TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, raw BLOB NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rounds (key TEXT PRIMARY KEY, round INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_VERSION = 1
_BALLAST = 1 << 20  # bytes held back at least, so that replies in flight can still be written when the disk is full
_REPLY = 32 << 10  # bytes held back for each request that may be in flight


def hash_request(identity: str, messages: tuple[Message, ...], sampling: Sampling) -> str:
    """Return the hash of a whole request to the model of this identity."""
    request = [
        identity,
        [[message.role, message.content] for message in messages],
        [sampling.temperature, sampling.max_tokens, sampling.schema, sampling.extra_body, sampling.attempt],
    ]
    return hashlib.sha256(orjson.dumps(request)).hexdigest()


class Journal:
    """The replies of one output folder; one process at a time.

    The lock is the operating system's, so a killed process leaves none behind. Exclusive locking also keeps SQLite's
    write-ahead log off shared memory, which network file systems lack.
    """

    def __init__(self, path: Path, *, in_flight: int = 1) -> None:
        self._path = path
        self._ballast = path.with_name(path.name + ".reserve")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, timeout=0.5)
        except OSError as error:
            raise DatasetError(f"cannot write {path.parent}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise self._explain(error) from error
        try:
            self._open()
            self._hold_ballast(max(_BALLAST, in_flight * _REPLY))
        except BaseException as error:
            self._database.close()
            if not isinstance(error, sqlite3.Error):
                raise
            raise self._explain(error) from error

    def _open(self) -> None:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
            self._database.execute(f"PRAGMA {pragma}")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise DatasetError(f"{self._path} was written by another version of raft (journal {version})")
        self._database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")

    def get(self, key: str) -> Reply | None:
        """Return the reply stored under `key`, or None."""
        row = self._run(
            "SELECT text, finish, prompt_tokens, completion_tokens, estimated FROM replies WHERE key = ?", (key,)
        ).fetchone()
        return Reply(row[0], row[1], row[2], row[3], replayed=True, estimated=bool(row[4])) if row else None

    def put(self, key: str, reply: Reply, raw: bytes) -> None:
        """Store a reply and commit.

        Raises:
            DatasetError: The disk is full; the reply itself has been saved in the space held back, where that sufficed.
        """
        values = (key, reply.text, reply.finish, reply.prompt_tokens, reply.completion_tokens, reply.estimated, raw)
        statement = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        try:
            self._database.execute(statement, (*values, time.time()))
        except sqlite3.Error as error:
            self._ballast.unlink(missing_ok=True)
            self._run(statement, (*values, time.time()))
            raise DatasetError(
                f"no space left in {self._path.parent}; all replies are kept: free some space and run the same "
                "command again"
            ) from error

    def forget(self, key: str) -> None:
        """Take back a reply that turned out to be none."""
        self._run("DELETE FROM replies WHERE key = ?", (key,))

    def round(self, key: str) -> int:
        """Return how often the request `key` has been asked anew after its rejection."""
        row = self._run("SELECT round FROM rounds WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row else 0

    def bump(self, key: str) -> None:
        """Ask the request `key` anew from now on; its earlier replies stay on file."""
        self._run("INSERT INTO rounds VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET round = round + 1", (key,))

    def note(self, name: str, value: str | None = None) -> str:
        """Return the note called `name` (empty when unset), after setting it if `value` is given."""
        if value is not None:
            self._run("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
            return value
        row = self._run("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def totals(self) -> tuple[int, int, int]:
        """Return replies, prompt tokens and completion tokens over all runs of this folder."""
        row = self._run(
            "SELECT COUNT(*), COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(completion_tokens), 0) FROM replies"
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def close(self) -> None:
        """Release the folder."""
        self._database.close()
        self._ballast.unlink(missing_ok=True)

    def _hold_ballast(self, size: int) -> None:
        try:
            self._ballast.write_bytes(bytes(size))
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            raise DatasetError(f"no space left in {self._path.parent}: {error.strerror}") from error

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error) -> DatasetError:
        if "locked" in str(error):
            return DatasetError(
                f"another raft process is working in {self._path.parent}; wait for it, or choose another -o"
            )
        if not isinstance(error, sqlite3.OperationalError):
            return DatasetError(f"{self._path} is not a journal of ours ({error}); move it away or choose another -o")
        return DatasetError(f"cannot write {self._path}: {error}; replies already stored are kept")
