"""Keys and addresses from the environment and `.env`; the only place that touches a secret."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from raft_cli.errors import ChatError

_LOOKS_SECRET = re.compile(r"\b(?:(?:sk|key)[-_]|Bearer )[\w*.-]{6,}")
_SECRET_NAME = re.compile(r"key|token$|secret|password|authorization", re.IGNORECASE)
_AZURE = "AZURE_OPENAI_ENDPOINT"
_AZURE_VERSION = "2024-10-21"


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a server.

    Attributes:
        key: The secret; kept out of `repr`.
        address: Base URL without user, password or query, for messages and the manifest.
    """

    base_url: str
    address: str
    azure: bool
    version: str = ""
    token: str = field(default="", repr=False)
    key: str = field(default="", repr=False)

    def redact(self, text: str) -> str:
        """Return `text` without the secrets, and without anything that looks like one."""
        for secret in (self.key, self.token):
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return _LOOKS_SECRET.sub("***", text)


def find_access(base_url: str, *, role: str, env_file: str) -> Access:
    """Find address and key for a role (`COMPLETION`, `EVAL`, `JUDGE`, `EMBEDDING`).

    `COMPLETION_OPENAI_API_KEY` goes before `OPENAI_API_KEY`, and so on; the environment before the file. Azure is used
    when no address is given and AZURE_OPENAI_ENDPOINT is set.

    Raises:
        ChatError: The address is none, the server needs a key and there is none, or --env-file names a missing file.
    """
    values = _read_variables(env_file)

    def look(*names: str) -> str:
        found = (values.get(f"{prefix}{name}", "") for name in names for prefix in (f"{role}_", ""))
        return next((value.strip() for value in found if value.strip()), "")

    endpoint = _check_address(look(_AZURE), flag=_AZURE)
    if endpoint and not base_url and not look("OPENAI_BASE_URL"):
        key, token = look("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"), look("AZURE_OPENAI_AD_TOKEN")
        version = look("OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION") or _AZURE_VERSION
        access = Access(endpoint, strip_secrets(endpoint), True, version, token, key)
    else:
        flag = "--base-url" if role == "COMPLETION" else "the address"
        url = _check_address(base_url or look("OPENAI_BASE_URL") or "https://api.openai.com/v1", flag=flag)
        access = Access(url, strip_secrets(url), False, key=look("OPENAI_API_KEY"))
    if not (access.key + access.token).isprintable() or not (access.key + access.token).isascii():
        raise ChatError(f"the key for {access.address} holds characters that no key has; copy it again")
    if not (access.key or access.token or _needs_no_key(access.base_url)):
        raise ChatError(_explain_missing_key(access, role))
    return access


def strip_secrets(url: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    where = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{where}:{parts.port}" if parts.port else where, parts.path.rstrip("/"), "", ""))


def redact_json(text: str) -> str:
    """Return a JSON object (in text form) with the values of fields that look secret blanked."""
    if not text:
        return ""
    return json.dumps(_blank_secrets(json.loads(text)))


def _blank_secrets(value: object) -> object:
    if isinstance(value, dict):
        return {name: "***" if _SECRET_NAME.search(name) else _blank_secrets(item) for name, item in value.items()}
    return [_blank_secrets(item) for item in value] if isinstance(value, list) else value


def _read_variables(env_file: str) -> Mapping[str, str]:
    from dotenv import dotenv_values

    path = Path(env_file)
    if env_file != ".env" and not path.is_file():
        raise ChatError(f"--env-file {env_file}: no such file")
    given = dotenv_values(path) if path.is_file() else {}
    return {name: value for values in (given, os.environ) for name, value in values.items() if value}


def _needs_no_key(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith(("127.", "10.", "192.168.", "[", "::")) or "." not in host


def _check_address(url: str, *, flag: str) -> str:
    if not url:
        return url
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        complete = False
    if not complete or parts.scheme not in ("http", "https"):
        raise ChatError(f"{flag} {url.rpartition('@')[2]}: no address of the form https://host:port/path")
    if "@" in parts.netloc:
        raise ChatError(
            f"{flag} {strip_secrets(url)}: a password in the address would end up in logs and process lists; set "
            "OPENAI_API_KEY instead"
        )
    if parts.query and flag != _AZURE:
        raise ChatError(f"{flag} {strip_secrets(url)}: an address ends before the `?`; keys belong into OPENAI_API_KEY")
    return url


def _explain_missing_key(access: Access, role: str) -> str:
    name = "AZURE_OPENAI_API_KEY" if access.azure else "OPENAI_API_KEY"
    other = "" if access.azure or "api.openai.com" in access.address else " (any word, where the server wants none)"
    missing = f"no key for {access.address}: set {name} in the environment or in a .env file{other}; or "
    if role != "COMPLETION":
        return f"{missing}name a server of your own, such as http://localhost:8000/v1"
    return (
        f"{missing}name a server of your own with --base-url http://localhost:8000/v1; or try the tool without any "
        "model by --teacher extractive"
    )
