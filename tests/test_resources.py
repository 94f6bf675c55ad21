"""Prompts and samples are found in a checkout; what is missing is said."""

import pytest

from raft_cli.errors import RaftError
from raft_cli.resources import find_resource


def test_resources_of_a_checkout() -> None:
    assert (find_resource("prompts") / "zh" / "ask.txt").is_file()
    assert (find_resource("sample_corpus") / "zh").is_dir()


def test_a_broken_installation_is_explained() -> None:
    with pytest.raises(RaftError, match="no nothing/ folder; reinstall raft-cli"):
        find_resource("nothing")
