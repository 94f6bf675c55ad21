"""Lets `python -m raft_cli` work like the console script."""

from raft_cli.cli import main

if __name__ == "__main__":
    main()
