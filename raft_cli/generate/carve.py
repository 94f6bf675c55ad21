"""Fill splits that stayed short because nearly all questions hang together: carve some out, set aside what is between.

Questions that resemble each other form chains, and one chain can hold most of a corpus. Then no group fits into a
small split. A few questions are taken out of the chain, and those of the training side too close to them are dropped.
Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from raft_cli.data import Question, make_id
from raft_cli.generate.split import round_half_up

_SHORT = 0.8  # a split below this share of its due size is filled
_MOST_DROPPED = 0.05  # of all questions, for each split


def carve_splits(
    sides: Mapping[str, Sequence[Question]],
    close: Iterable[tuple[str, str]],
    *,
    shares: Mapping[str, float],
    seed: int,
) -> tuple[dict[str, list[Question]], dict[str, str]]:
    """Return the splits, filled from `train` where they were short, and the dropped questions with what they are near.

    Questions with few neighbours are taken first, so that little is dropped: at most a twentieth of all for each split.
    """
    neighbours: dict[str, set[str]] = defaultdict(set)
    for one, other in close:
        neighbours[one].add(other)
        neighbours[other].add(one)
    total = sum(map(len, sides.values()))
    train = {question.id: question for question in sides["train"]}
    splits = {name: list(questions) for name, questions in sides.items() if name != "train"}
    dropped: dict[str, str] = {}
    for name, share in shares.items():
        due = round_half_up(share * total)
        if len(splits[name]) >= _SHORT * due:
            continue
        most = len(dropped) + _MOST_DROPPED * total
        for item in sorted(train, key=lambda item: (len(neighbours[item]), make_id(seed, name, item))):
            near = sorted(neighbours[item] & train.keys())
            too_many = len(near) >= due - len(splits[name]) or len(dropped) + len(near) > most
            if too_many or item not in train:
                continue
            splits[name].append(train.pop(item))
            for other in near:
                if neighbours[other] & train.keys():
                    dropped[other] = item
                    del train[other]
                else:  # it hangs on this question alone, and goes with it
                    splits[name].append(train.pop(other))
    splits["train"] = list(train.values())
    return {name: sorted(splits[name], key=lambda question: question.id) for name in sides}, dropped
