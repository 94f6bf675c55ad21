"""From the name of a model to the model: an endpoint, the embedded teacher, or weights in this process."""

from raft_cli.chat.endpoint import Endpoint
from raft_cli.chat.extractive import Extractive
from raft_cli.chat.journal import Journal
from raft_cli.chat.keys import find_access
from raft_cli.chat.local import LocalModel
from raft_cli.errors import ConfigError

EXTRACTIVE = "extractive"
_LOCAL = "local:"


def connect(
    name: str, *, flag: str, base_url: str, env_file: str, timeout: float, journal: Journal, role: str = "COMPLETION"
) -> Endpoint | Extractive | LocalModel:
    """Return the model called `name`; nothing is sent yet.

    Args:
        flag: The flag that named it, for messages.
        role: Prefix of the environment variables that go first.

    Raises:
        ConfigError: There is no name.
        ChatError: There is no key or no such model folder.
    """
    check_name(name, flag=flag)
    if name == EXTRACTIVE:
        return Extractive()
    if name.startswith(_LOCAL):
        return LocalModel(name.removeprefix(_LOCAL))
    access = find_access(base_url, role=role, env_file=env_file)
    note = f"endpoint {access.address} {name}"
    return Endpoint(
        name,
        access,
        timeout=timeout,
        settled=journal.note(note),
        remember=lambda settled: journal.note(note, settled),
    )


def check_name(name: str, *, flag: str) -> None:
    """Refuse a missing model name with the choice explained.

    Raises:
        ConfigError: `name` is empty.
    """
    if not name:
        raise ConfigError(
            f"no teacher: name a model of an OpenAI-compatible server ({flag} gpt-4.1-mini, with OPENAI_API_KEY, "
            f"or {flag} MODEL --base-url http://localhost:8000/v1), a model folder ({flag} local:PATH), or try the "
            f"tool without any model by {flag} {EXTRACTIVE}"
        )


def is_remote(name: str) -> bool:
    """Tell whether a model name means a server."""
    return name != EXTRACTIVE and not name.startswith(_LOCAL)
