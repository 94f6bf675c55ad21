"""The command line that starts one process for each device, on one machine or several."""

import sys
from pathlib import Path

import pytest
from runs import make_recipe

from raft_cli.errors import ConfigError
from raft_cli.train.launch import build_command


def test_one_machine_meets_itself() -> None:
    command = build_command(Path("run"), make_recipe(Path("base"), processes=4), node_rank=0, rendezvous="")
    assert command == [
        *(sys.executable, "-m", "raft_cli.train.ranks", "--standalone"),
        *("--nproc-per-node", "4", "--module", "raft_cli.train.worker", "run", "base"),
    ]


def test_several_machines_meet_at_the_first() -> None:
    recipe = make_recipe(Path("base"), processes=8, nodes=2)
    command = build_command(Path("/shared/run"), recipe, node_rank=1, rendezvous="10.0.0.5:29500")
    assert command[3:] == [
        *("--nnodes", "2", "--node-rank", "1", "--master-addr", "10.0.0.5", "--master-port", "29500"),
        *("--nproc-per-node", "8", "--module", "raft_cli.train.worker", "/shared/run", "base"),
    ]


@pytest.mark.parametrize("where", ["10.0.0.5", "host:", ":29500", "host:port"])
def test_a_place_to_meet_has_a_host_and_a_port(where: str) -> None:
    with pytest.raises(ConfigError, match=f"--rendezvous {where}: expected HOST:PORT"):
        build_command(Path("run"), make_recipe(Path("base"), nodes=2), node_rank=0, rendezvous=where)
