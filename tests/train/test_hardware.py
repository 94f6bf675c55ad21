"""Hardware: what nvidia-smi says is read as CUDA would see it; a container's limit counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from raft_cli.errors import ConfigError
from raft_cli.train.planning.cards import Card, choose_visible, find_peak, parse_cards, parse_slices
from raft_cli.train.planning.hardware import build_cuda, find_hardware
from raft_cli.train.planning.host import measure_flops, read_memory

TWO = """\
GPU-aaaa1111-0000, NVIDIA H100 80GB HBM3, 81559, 81000, 9.0, Disabled
GPU-bbbb2222-0000, NVIDIA A100-SXM4-40GB, 40960, 512, 8.0, Disabled
"""
SLICED = "GPU-cccc3333-0000, NVIDIA A100-SXM4-40GB, 40960, [N/A], 8.0, Enabled\n"
SLICES = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-cccc3333-0000)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 1g.5gb      Device  1: (UUID: MIG-2222)
"""
SHARED = "GPU-dddd4444-0000, NVIDIA GB10, [N/A], [N/A], 12.1, [N/A]\n"


def test_several_cards() -> None:
    first, second = parse_cards(TWO)
    assert (first.name, first.memory, first.capability) == ("NVIDIA H100 80GB HBM3", 81559 * 2**20, (9, 0))
    assert (second.free, second.flops, second.sliced) == (512 * 2**20, 312e12, False)


@pytest.mark.parametrize("listing", ["", "No devices were found\n", "a, b\n", "index, name, x, y, z, w\n"])
def test_what_is_no_listing_gives_no_card(listing: str) -> None:
    assert parse_cards(listing) == []


def test_unlike_cards_count_as_the_least() -> None:
    found = build_cuda(parse_cards(TWO), torch="2.13.0+cu130", flash=True)
    assert (found.count, found.memory, found.free) == (2, 40960 * 2**20, 512 * 2**20)
    assert (found.capability, found.flops, found.flash, found.varlen) == ((8, 0), 312e12, True, True)
    assert found.name == "NVIDIA H100 80GB HBM3 + NVIDIA A100-SXM4-40GB"


@pytest.mark.parametrize(("torch", "varlen"), [("2.12.0", True), ("2.11.1+cu128", False), ("3.0", True), ("", False)])
def test_varlen_needs_a_new_torch(torch: str, varlen: bool) -> None:
    assert build_cuda(parse_cards(TWO), torch=torch, flash=False).varlen is varlen


def test_old_cards_have_neither_bf16_nor_flash() -> None:
    old = parse_cards("GPU-e, Tesla T4, 15360, 15000, 7.5, [N/A]")
    found = build_cuda(old, torch="2.13.0", flash=True)
    assert (found.native_bf16, found.flash, found.varlen, found.flops) == (False, False, False, 65e12)


def test_memory_that_the_driver_does_not_say_is_the_machines() -> None:
    assert build_cuda(parse_cards(SHARED), torch="2.13.0", flash=False).memory > 2**28


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["H100", "A100"]),
        ("1", ["A100"]),
        ("1,0", ["A100", "H100"]),
        ("0,7,1", ["H100"]),
        ("GPU-bbbb", ["A100"]),
        ("", []),
        ("-1", []),
        ("0,0", ["H100"]),
    ],
)
def test_visible_devices_are_chosen_as_cuda_does(visible: str | None, names: list[str]) -> None:
    chosen = choose_visible(parse_cards(TWO), [], visible)
    assert [next(name for name in ("H100", "A100") if name in card.name) for card in chosen] == names


@pytest.mark.parametrize(("visible", "gigabytes"), [(None, 20), ("MIG-2222", 5), ("0", 20), ("MIG-9", None)])
def test_of_a_divided_card_one_slice_is_seen(visible: str | None, gigabytes: int | None) -> None:
    cards = parse_cards(SLICED)
    chosen = choose_visible(cards, parse_slices(SLICES, cards), visible)
    assert [card.memory for card in chosen] == ([] if gigabytes is None else [gigabytes * 2**30])
    if gigabytes == 5:
        assert chosen[0].flops == pytest.approx(312e12 / 7)
        assert chosen[0].name == "NVIDIA A100-SXM4-40GB MIG 1g.5gb"


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA H20", 148),
        ("NVIDIA B200", 2250),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA A10", 125),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 0),
        ("NVIDIA GeForce RTX 3090", 71),
        ("Tesla V100-SXM2-16GB", 125),
        ("Tesla T4", 65),
        ("NVIDIA Z999", 0),
    ],
)
def test_peaks(name: str, peak: float) -> None:
    assert find_peak(name) == peak * 1e12


def test_a_machine_without_driver_is_a_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_hardware("auto")
    assert (found.kind, found.count, found.capability, found.flash, found.varlen) == ("cpu", 1, None, False, False)
    assert 0 < found.free <= found.memory and found.flops > 1e8 and not found.native_bf16
    with pytest.raises(ConfigError, match="--device cuda: nvidia-smi finds no GPU here"):
        find_hardware("cuda")


def fake_driver(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


def test_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_driver(tmp_path, monkeypatch, "echo 'GPU-a, NVIDIA H200, 143771, 143000, 9.0, Disabled'")
    try:
        found = find_hardware("cuda")
    except ConfigError as error:
        assert "is a build without CUDA" in str(error)
    else:
        assert (found.kind, found.name) == ("cuda", "NVIDIA H200")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError, match="no GPU here that CUDA_VISIBLE_DEVICES= shows"):
        find_hardware("cuda")


def test_a_driver_that_fails_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_driver(tmp_path, monkeypatch, "echo 'NVIDIA-SMI has failed'; exit 9")
    assert find_hardware("auto").kind == "cpu"


def make_root(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 800 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (1000 * 1024, 800 * 1024)),
        ({"sys/fs/cgroup/memory.max": "max\n"}, (1000 * 1024, 800 * 1024)),
        (
            {
                "proc/self/cgroup": "0::/job\n",
                "sys/fs/cgroup/job/memory.max": "500000\n",
                "sys/fs/cgroup/job/memory.current": "300000\n",
                "sys/fs/cgroup/job/memory.stat": "anon 1\ninactive_file 100000\n",
            },
            (500000, 300000),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/job\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "600000\n",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "100000\n",
                "sys/fs/cgroup/memory/job/memory.stat": "cache 5\n",
            },
            (600000, 500000),
        ),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, files: dict[str, str], expected: tuple[int, int]) -> None:
    assert read_memory(make_root(tmp_path / "root", files)) == expected


def test_the_processor_is_measured() -> None:
    assert measure_flops(64) > 1e7


def test_cards_are_plain_values() -> None:
    card = Card("GPU-a", "x", 1, 1, None, 0.0, sliced=False)
    assert replace(card, free=0) != card
