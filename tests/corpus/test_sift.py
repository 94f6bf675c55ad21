"""What is no use for a question is set aside with its reason; what differs in one figure is kept."""

import numpy as np
import pytest
from fakes import make_chunk, make_chunks
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.corpus.sift import find_duplicates, find_fault, sketch

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    "documentation files, to deal in the Software without restriction."
)
PROSE = "The pump of hall {n} runs at {speed} turns a minute and must be greased every {weeks} weeks by the crew."
CHINESE = "{n} 号厅的水泵每分钟转动 {speed} 次，班组人员必须每隔 {weeks} 周进行一次润滑，并把结果记录在值班日志中。"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Short.", "too-short"),
        ("12 34 56 | 78 | " * 20, "too-short"),
        ("阀门应当缓慢打开。", "too-short"),
        ("阀门应当缓慢打开，每周必须检查一次。", ""),
        (PROSE, ""),
        ("\n".join(f"{n} Chapter of the manual ........ {n * 7}" for n in range(1, 9)), "table-of-contents"),
        ("\n".join(f"第 {n} 章 设备安装与调试说明 …… {n * 7}" for n in range(1, 9)), "table-of-contents"),
        ("\n".join(f"- [Chapter about things {n}](#chapter-{n})" for n in range(8)), "table-of-contents"),
        ("\n".join(f"[Page {n} of the site](https://example.org/{n})" for n in range(8)), "navigation"),
        (" | ".join(f"[Home page](/index{n}.html)" for n in range(9)), "navigation"),
        ("See [the guide](guide.md) for how the relay is set and how its coil is measured in the field.", ""),
        (MIT, "licence"),
        ('Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file.', "licence"),
        ("\n".join(f"Port {n}: serves the hall number {n}, since 20{n:02}" for n in range(10, 18)), ""),
    ],
)
def test_faults(text: str, fault: str) -> None:
    assert find_fault(make_chunk(text)) == fault


def repeats(*texts: str) -> dict[int, int]:
    chunks = make_chunks(texts)
    found = find_duplicates(chunks, [sketch(chunk.text) for chunk in chunks])
    return {int(later[-4:]): int(earlier[-4:]) for later, earlier in found.items()}


@pytest.mark.parametrize("template", [PROSE, CHINESE])
def test_copies_and_near_copies_repeat_the_first(template: str) -> None:
    text = " ".join(template.format(n=n, speed=n * 100, weeks=n + 2) for n in range(1, 5))
    spaced = text.replace(" ", "  ").upper()
    near = text.replace("must be greased", "must be oiled").replace("值班日志", "值班日记")
    other = " ".join(template.format(n=n, speed=n * 31, weeks=n + 7) for n in range(20, 24))
    assert repeats(text, other, text, spaced, near) == {2: 0, 3: 0, 4: 0}


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (PROSE.format(n=1, speed=900, weeks=2) * 4, PROSE.format(n=1, speed=950, weeks=2) * 4),
        (CHINESE.format(n=1, speed=900, weeks=2) * 4, CHINESE.format(n=1, speed=950, weeks=2) * 4),
        (PROSE * 4, PROSE.replace("must be", "must not be") * 4),
        (CHINESE * 4, CHINESE.replace("必须", "不必") * 4),
        (PROSE * 4, PROSE * 5),
    ],
)
def test_another_figure_a_negation_or_more_text_is_no_copy(text: str, other: str) -> None:
    assert repeats(text, other) == {}


def test_later_copies_are_found_among_many() -> None:
    texts = [" ".join(PROSE.format(n=n * 10 + k, speed=n * 7 + k, weeks=n + k) for k in range(4)) for n in range(200)]
    assert repeats(*texts, *texts[::20]) == {200 + at: n for at, n in enumerate(range(0, 200, 20))}


@given(st.text(max_size=300))
def test_every_text_has_a_sketch_that_depends_on_its_words(text: str) -> None:
    drawn = sketch(text)
    assert drawn.shape == (25,) and drawn.dtype == np.uint64
    assert np.array_equal(drawn, sketch(f"  {text}\n"))
