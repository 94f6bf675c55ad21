"""The machine itself: memory that a process may use, and how fast its processor multiplies matrices."""

import os
import platform
import time
from pathlib import Path

ROOT = Path("/")


def read_memory(root: Path = ROOT) -> tuple[int, int]:
    """Return the memory that processes here may use, and what of it is free, in bytes.

    A limit of the control group (a container's) counts; cached files count as free.
    """
    total, free = _read_meminfo(root)
    for group in _list_groups(root):
        limit, used = _read_limit(group)
        if 0 < limit < total:
            total, free = limit, min(free, limit)
        if limit:
            free = min(free, max(0, limit - used))
    return total, free


def _read_meminfo(root: Path) -> tuple[int, int]:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
        figures = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return figures["MemTotal"], figures["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
        return total, total


def _list_groups(root: Path) -> list[Path]:
    """Return the folders of the process's control groups, its own first, then those around it."""
    base = root / "sys/fs/cgroup"
    groups = [base, base / "memory"]
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return groups
    for line in lines:
        number, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if number == "0" or "memory" in kinds.split(","):
            own = (base / "memory" if kinds else base) / path.lstrip("/")
            groups += [group for group in (own, *own.parents) if base in group.parents and group not in groups]
    return groups


def _read_limit(group: Path) -> tuple[int, int]:
    """Return a control group's limit (0: none) and what is used of it, without cached files, in bytes."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = (group / limit).read_text(encoding="ascii").strip()
            if not most.isdigit():  # "max"
                return 0, 0
            lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
            files = next((int(line.split()[1]) for line in lines if line.startswith(f"{cached} ")), 0)
            return int(most), int((group / used).read_text(encoding="ascii")) - files
        except (OSError, ValueError):
            continue
    return 0, 0


def read_processor(root: Path = ROOT) -> str:
    """Return the processor's name."""
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine() or "CPU"


def measure_flops(size: int = 768) -> float:
    """Return operations per second of a float32 matrix product, measured in less than 0.2 s."""
    import numpy as np

    matrix = np.ones((size, size), dtype=np.float32)
    matrix[:64] @ matrix  # starts its threads
    best, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < 0.05:
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
