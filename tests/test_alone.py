"""The fixtures of every test keep keys, stray files and the outside away."""

import os
import socket
from pathlib import Path

import pytest
from conftest import OutsideRefused


def test_nothing_leaves_this_machine() -> None:
    for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80))):
        with socket.socket(family) as outside:
            with pytest.raises(OutsideRefused):
                outside.connect(address)
            with pytest.raises(OutsideRefused):
                outside.connect_ex(address)
    with socket.socket() as here, pytest.raises(ConnectionRefusedError):
        here.connect(("127.0.0.1", 9))


def test_no_keys_and_no_stray_files(tmp_path: Path) -> None:
    assert Path.cwd() == tmp_path and os.environ["HF_HUB_OFFLINE"] == "1"
    assert not [name for name in os.environ if name.startswith(("OPENAI_", "AZURE_", "HTTPS_PROXY"))]
