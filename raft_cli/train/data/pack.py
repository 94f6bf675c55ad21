"""Put rows together into micro-batches, by their lengths alone. Pure; random only in what it is given."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

Groups = list[list[int]]


def pack_rows(lengths: Iterable[int], budget: int) -> Groups:
    """Put whole rows into as few bins of at most `budget` tokens as best-fit-decreasing finds.

    Returns:
        Row numbers of each bin, ascending; bins by their first row. A row above the budget has a bin of its own.
    """
    sizes = [int(length) for length in lengths]
    bins: Groups = []
    by_room: dict[int, list[int]] = {}  # numbers of the bins that have so much room left
    rooms: list[int] = []  # its keys, ascending
    for row in sorted(range(len(sizes)), key=lambda row: -sizes[row]):
        at = bisect_left(rooms, sizes[row])
        if at == len(rooms):
            number, room = len(bins), max(budget, sizes[row])
            bins.append([])
        else:
            room = rooms[at]
            number = by_room[room].pop()
            if not by_room[room]:
                del by_room[room], rooms[at]
        bins[number].append(row)
        left = room - sizes[row]
        if left not in by_room:
            by_room[left] = []
            insort(rooms, left)
        by_room[left].append(number)
    return _order(bins)


def batch_rows(lengths: Iterable[int], budget: int) -> Groups:
    """Put rows of like length together, so that longest times number stays within `budget`.

    Returns:
        As `pack_rows`.
    """
    sizes = [int(length) for length in lengths]
    rows = sorted(range(len(sizes)), key=lambda row: -sizes[row])
    groups: Groups = []
    start = 0
    while start < len(rows):
        count = max(1, budget // max(1, sizes[rows[start]]))
        groups.append(rows[start : start + count])
        start += count
    return _order(groups)


def _order(groups: Groups) -> Groups:
    return sorted(sorted(group) for group in groups)


def measure_fill(groups: Sequence[Sequence[int]], lengths: Sequence[int], *, packed: bool, budget: int) -> float:
    """Return the share of real tokens: of the budget when packed, else of what is computed with the padding.

    Packs are not padded, so that a low fill costs no arithmetic there: it means more micro-batches than needed.
    """
    sizes = [[int(lengths[row]) for row in group] for group in groups if len(group)]
    real = sum(map(sum, sizes))
    if packed:
        room = sum(max(budget, sum(group)) for group in sizes)
    else:
        room = sum(max(group) * len(group) for group in sizes)
    return real / room if room else 1.0
