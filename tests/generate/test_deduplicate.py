"""Of questions that say the same one stays; close ones stay on one side; other figures make other questions."""

from collections.abc import Sequence

from fakes import make_chunk
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_cli.data import Question
from raft_cli.generate.deduplicate import Likeness, find_alike
from raft_cli.language import alike, same_figures

CHUNK = make_chunk("x")


def compare(texts: Sequence[str]) -> Likeness:
    return find_alike([Question(f"q{number:05}", (CHUNK.id,), text, "factoid") for number, text in enumerate(texts)])


def test_the_later_id_goes_whatever_the_order() -> None:
    texts = ["How long are logs kept?", "Who made it?", "How long are the logs kept?", "HOW LONG ARE LOGS KEPT"]
    questions = [Question(f"q{number}", (CHUNK.id,), text, "factoid") for number, text in enumerate(texts)]
    assert find_alike(questions) == find_alike(questions[::-1])
    assert find_alike(questions).repeats == {"q2": "q0", "q3": "q0"}


def test_chinese_and_full_width() -> None:
    assert compare(["日志保存多久？", "日志保存多久?", "谁制造了网关？", "日志会保存多久？"]).repeats == {
        "q00001": "q00000",
        "q00003": "q00000",
    }


def test_other_figures_or_a_negation_are_close_but_no_repeats() -> None:
    found = compare(["Does the GW-4 take 48 V?", "Does the GW-8 take 48 V?", "Does the GW-4 not take 48 V?"])
    assert found.repeats == {}
    assert ("q00000", "q00001") in found.close and ("q00000", "q00002") in found.close


def test_what_is_less_alike_is_close_and_what_is_unlike_is_nothing() -> None:
    one, other = "How long are the event logs of a gateway kept?", "How long are the event logs of an old router kept?"
    assert 80 <= alike(one, other) < 90
    assert compare([one, other, "Who is the maker of this pump?"]) == Likeness({}, [("q00000", "q00001")])
    assert compare([]) == compare(["alone?"]) == compare(["?", "!", ""]) == Likeness({}, [])


WORDS = "gateway relay pump fuse kettle 日志 网关 阀门 14 48 not which".split()  # no two spelled alike


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join), max_size=25))
@settings(deadline=None)
def test_as_every_pair_compared_one_by_one(texts: list[str]) -> None:
    found = compare(texts)
    kept = [number for number in range(len(texts)) if f"q{number:05}" not in found.repeats]
    for later, earlier in found.repeats.items():
        assert earlier < later and earlier not in found.repeats
        one, other = texts[int(earlier[1:])], texts[int(later[1:])]
        assert alike(one, other) >= 90 and same_figures(one, other)
    close = set(found.close)
    for place, one in enumerate(kept):
        for other in kept[place + 1 :]:
            likeness = alike(texts[one], texts[other])
            assert likeness < 90 or not same_figures(texts[one], texts[other])
            assert (likeness >= 80) is ((f"q{one:05}", f"q{other:05}") in close)


def test_many_questions_are_compared_in_time() -> None:
    texts = [f"Which {a} of the {b} is meant by {c}?" for a in WORDS for b in WORDS for c in ("bay", "hall", "rack")]
    found = compare([*texts, *texts[::50]])
    assert set(found.repeats) >= {f"q{len(texts) + number:05}" for number in range(len(texts[::50]))}
