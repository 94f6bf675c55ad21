import json
from pathlib import Path

import pytest

from raft_cli.chat.keys import find_access, redact_json, strip_secrets
from raft_cli.errors import ChatError

HERE = "http://127.0.0.1:8000/v1"


def find(url: str = "", role: str = "COMPLETION", env_file: str = ".env"):  # noqa: ANN201
    return find_access(url, role=role, env_file=env_file)


def test_openai_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " sk-one ")
    access = find()
    assert (access.base_url, access.key, access.azure) == ("https://api.openai.com/v1", "sk-one", False)


def test_a_missing_key_explains_the_choice() -> None:
    with pytest.raises(ChatError, match=r"OPENAI_API_KEY.*--base-url.*--teacher extractive"):
        find()


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "10.1.2.3:8000", "192.168.0.2", "[::1]:80", "vllm:8000"])
def test_servers_of_ones_own_need_no_key(host: str) -> None:
    assert find(f"http://{host}/v1").key == ""


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OPENAI_API_KEY=from-file\nOPENAI_BASE_URL=http://filed:1/v1\n")
    assert (find().key, find().address) == ("from-file", "http://filed:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    assert find().key == "from-environment"
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert find().key == "from-file"


def test_the_role_goes_before_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "general")
    monkeypatch.setenv("EVAL_OPENAI_API_KEY", "judges")
    assert find(HERE).key == "general" and find(HERE, role="EVAL").key == "judges"


def test_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/?secret=1")
    with pytest.raises(ChatError, match="AZURE_OPENAI_API_KEY"):
        find()
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    access = find()
    assert access.azure and access.key == "azure-key" and access.version
    assert access.address == "https://mine.openai.azure.com"
    assert not find(HERE).azure


def test_a_key_in_the_query_is_refused_and_not_repeated() -> None:
    with pytest.raises(ChatError, match=r"--base-url http://here:1/v1: .*OPENAI_API_KEY") as told:
        find("http://here:1/v1?api_key=hush-hush")
    assert "hush" not in str(told.value)


def test_a_named_file_must_be_there() -> None:
    with pytest.raises(ChatError, match=r"nowhere.env: no such file"):
        find(HERE, env_file="nowhere.env")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000/v1", "ftp://here/v1", "http://", "http://here:80a/v1", "http://here:99999/", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ChatError, match="--base-url"):
        find(url)


def test_passwords_in_the_address_are_refused_and_not_repeated() -> None:
    for url in ("https://me:hunter22@server/v1", "https://me:hunter22@server:x/v1"):
        with pytest.raises(ChatError) as caught:
            find(url)
        assert "hunter22" not in str(caught.value)


def test_a_key_with_odd_characters_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("sk-ключ-от-двери", "sk-one\nX-Evil: two"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(ChatError, match="characters that no key has") as caught:
            find(HERE)
        assert key[3:8] not in str(caught.value)


def test_addresses_lose_their_secrets() -> None:
    assert strip_secrets("https://u:p@host:8000/v1/?key=abc#f") == "https://host:8000/v1"
    assert strip_secrets("http://[::1]:8000/v1") == "http://[::1]:8000/v1"
    assert strip_secrets("") == ""


def test_messages_lose_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "9f8e7d6c5b4a")
    access = find(HERE)
    said = access.redact("key 9f8e7d6c5b4a, Bearer abc.def-ghi, sk-abcd*****wxyz, key-0123456789")
    assert said == "key ***, ***, ***, ***"
    assert access.redact("Incorrect API key provided.") == "Incorrect API key provided."
    assert "9f8e7d6c5b4a" not in repr(access)


def test_secret_fields_of_a_body_are_blanked_at_any_depth() -> None:
    body = {"api_key": "a", "top_k": 3, "nested": {"Authorization": "b", "list": [{"password": "c"}]}, "max_tokens": 4}
    blanked = json.loads(redact_json(json.dumps(body)))
    assert blanked == {
        "api_key": "***",
        "top_k": 3,
        "nested": {"Authorization": "***", "list": [{"password": "***"}]},
        "max_tokens": 4,
    }
    assert redact_json("") == ""
