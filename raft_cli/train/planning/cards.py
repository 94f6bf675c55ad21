"""NVIDIA's cards as `nvidia-smi` lists them: parsed, chosen as CUDA would, with their peak. Pure; starts nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

QUERY = ("uuid", "name", "memory.total", "memory.free", "compute_cap", "mig.mode.current")

# Dense peak of 16-bit matrix products that add up in float32, in TFLOP/s, by a pattern of the name; the first that
# fits counts. From NVIDIA's data sheets (half of their "with sparsity") and the architecture papers of Ampere GA102,
# Ada and Blackwell for GeForce and RTX cards, whose float32 accumulation halves the rate on GeForce.
_PEAKS = (
    (r"laptop|max-q|mobile", 0),
    (r"gb200", 2500),
    (r"b200", 2250),
    (r"b100", 1750),
    (r"h200 nvl|h100 nvl", 835),
    (r"h200|gh200|h800", 989),
    (r"h100 pcie", 756),
    (r"h100", 989),
    (r"h20", 148),
    (r"a100|a800", 312),
    (r"a30", 165),
    (r"a40", 150),
    (r"a10g", 70),
    (r"a10", 125),
    (r"l40s", 362),
    (r"l40", 181),
    (r"l20", 119),
    (r"l4", 121),
    (r"t4", 65),
    (r"v100-pcie", 112),
    (r"v100s", 130),
    (r"v100", 125),
    (r"rtx 6000 ada", 364),
    (r"rtx a6000", 155),
    (r"rtx 5090", 209),
    (r"rtx 4090 d", 147),
    (r"rtx 4090", 165),
    (r"rtx 4080", 97),
    (r"rtx 3090 ti", 80),
    (r"rtx 3090", 71),
)
_SLICES_PER_CARD = 7  # A100, H100, H200; an A30 has 4
_SLICE = re.compile(r"MIG\s+(\d+)g\.(\d+)gb.*\(UUID:\s*(MIG-[^)]+)\)")
_CARD = re.compile(r"GPU\s+\d+:.*\(UUID:\s*(GPU-[^)]+)\)")


@dataclass(frozen=True, slots=True)
class Card:
    """A card, or a slice of one.

    Attributes:
        memory: Bytes; 0 when the driver does not say (memory shared with the CPU).
        flops: Dense 16-bit peak per second, 0 when unknown.
        sliced: Whether the card is divided (MIG), so that only its slices can be used.
    """

    uuid: str
    name: str
    memory: int
    free: int
    capability: tuple[int, int] | None
    flops: float
    sliced: bool


def find_peak(name: str) -> float:
    """Return a card's dense 16-bit peak in operations per second, 0 when it is not in the table."""
    for pattern, peak in _PEAKS:
        if re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", name.lower()):
            return peak * 1e12
    return 0.0


def parse_cards(listing: str) -> list[Card]:
    """Read the output of `nvidia-smi --query-gpu=… --format=csv,noheader,nounits`; lines of another form are passed."""
    cards = []
    for line in listing.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(QUERY) or not fields[0].startswith("GPU-"):
            continue
        uuid, name, total, free, capability, mode = fields
        memory = _parse_mebibytes(total)
        parts = re.fullmatch(r"(\d+)\.(\d+)", capability)
        cards.append(
            Card(
                uuid=uuid,
                name=name,
                memory=memory,
                free=_parse_mebibytes(free) or memory,
                capability=(int(parts[1]), int(parts[2])) if parts else None,
                flops=find_peak(name),
                sliced=mode.lower() == "enabled",
            )
        )
    return cards


def _parse_mebibytes(text: str) -> int:
    return int(text) * 2**20 if text.isdigit() else 0


def parse_slices(listing: str, cards: Sequence[Card]) -> list[Card]:
    """Read the slices of divided cards from `nvidia-smi -L`; a slice's memory is that of its profile's name."""
    by_uuid = {card.uuid: card for card in cards}
    card, slices = None, []
    for line in listing.splitlines():
        if found := _CARD.search(line):
            card = by_uuid.get(found[1])
        elif card and (found := _SLICE.search(line)):
            parts, size = int(found[1]), int(found[2]) * 2**30
            share = parts / _SLICES_PER_CARD
            name = f"{card.name} MIG {found[1]}g.{found[2]}gb"
            memory = min(size, card.memory) if card.memory else size
            slices.append(replace(card, uuid=found[3], name=name, memory=memory, free=memory, flops=card.flops * share))
    return slices


def choose_visible(cards: Sequence[Card], slices: Sequence[Card], visible: str | None) -> list[Card]:
    """Return the devices that CUDA would show.

    Args:
        visible: `CUDA_VISIBLE_DEVICES`: numbers, or beginnings of UUIDs; the first that names none ends the list. CUDA
            shows one slice at most.
    """
    if visible is None:
        chosen = list(cards)
    else:
        chosen = []
        for entry in (entry.strip() for entry in visible.split(",")):
            if entry.isdigit():
                found = [cards[int(entry)]] if int(entry) < len(cards) else []
            else:
                found = [card for card in (*cards, *slices) if entry and card.uuid.startswith(entry)][:1]
            if not found:
                break
            chosen += [card for card in found if card not in chosen]
    whole = [card for card in chosen if not card.sliced]
    if whole or not chosen:
        return whole
    picked = [card for card in chosen if card in slices] or list(slices)
    return picked[:1]
