"""`torchrun`, without its stack trace when a process has failed and said why itself."""

import logging
import sys


def main() -> int:
    """Run torchrun with this process's arguments."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    try:
        run(sys.argv[1:])
    except ChildFailedError as error:
        return max(1, *(failure.exitcode for failure in error.failures.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
