import pytest

from raft_cli.chat.gauge import Gauge

FOREVER = float("inf")


def test_slots_are_the_ceiling() -> None:
    gauge = Gauge(2)
    assert gauge.wait(0, 0) == 0 and gauge.limited_by == "nothing"
    gauge.take(0, 0)
    gauge.take(0, 0)
    assert gauge.wait(0, 0) == FOREVER and gauge.limited_by == "concurrency"
    gauge.give_back()
    assert gauge.wait(0, 0) == 0 and gauge.in_flight == 1


def test_requests_a_minute_are_spread() -> None:
    gauge = Gauge(100, rpm=60)
    gauge.take(10, 0)
    gauge.take(10, 0)  # an idle time is worth one request, no burst
    assert gauge.wait(10, 0) == pytest.approx(1) and gauge.limited_by == "the request limit"
    assert gauge.wait(10.75, 0) == pytest.approx(0.25)
    assert gauge.wait(500, 0) == 0
    gauge.take(500, 0)
    gauge.take(500, 0)
    assert gauge.wait(500, 0) == pytest.approx(1)


def test_tokens_a_minute_are_a_bucket_of_ten_seconds() -> None:
    gauge = Gauge(100, tpm=6000)
    assert gauge.wait(0, 900) == 0
    gauge.take(0, 900)
    assert gauge.wait(0, 300) == pytest.approx(2) and gauge.limited_by == "the token limit"
    assert gauge.wait(2, 300) == pytest.approx(0)


def test_a_request_larger_than_the_bucket_goes_when_it_is_full() -> None:
    gauge = Gauge(100, tpm=6000)
    assert gauge.wait(0, 5000) == 0
    gauge.take(0, 5000)
    assert gauge.wait(0, 1) == pytest.approx(40, abs=0.1)  # and is paid for afterwards


def serve(gauge: Gauge, start: float, seconds: float, rate: float) -> float:
    """Let `rate` requests a second succeed; return the time after."""
    for at in range(int(seconds * rate)):
        gauge.take(start + at / rate, 0)
        gauge.note_success()
        gauge.give_back()
    return start + seconds


def test_a_lone_refusal_changes_nothing() -> None:
    gauge = Gauge(32)
    now = serve(gauge, 0, 10, 20)
    gauge.note_refusal(now, now - 0.1, 1.0)
    gauge.note_refusal(now + 5, now + 4.9, 1.0)
    assert gauge.current_pace(now + 5) is None and gauge.wait(now + 5, 0) == 0


def test_scattered_refusals_among_many_replies_change_nothing() -> None:
    gauge = Gauge(32)
    now = 0.0
    for _ in range(20):
        now = serve(gauge, now, 1, 20)
        gauge.note_refusal(now, now - 0.1, 1.0)
    assert gauge.current_pace(now) is None


def refuse_together(gauge: Gauge, now: float, count: int, retry_after: float | None) -> float:
    """Send `count` requests at once and have them refused one after the other."""
    for _ in range(count):
        gauge.take(now, 0)
    for at in range(count):
        gauge.note_refusal(now + 0.05 + at * 0.001, now, retry_after)
        gauge.give_back()
    return now + 0.05 + count * 0.001


def test_refusals_together_set_the_pace_to_what_was_accepted() -> None:
    gauge = Gauge(64)
    now = serve(gauge, 0, 10, 20)
    now = refuse_together(gauge, now, 30, None)
    pace = gauge.current_pace(now)
    assert pace is not None and 15 < pace < 20


def test_a_wave_refused_before_any_reply_is_measured_by_what_was_not_refused() -> None:
    gauge = Gauge(64)
    gauge.take(0, 0)  # one of 41 was let through; its reply takes long
    now = refuse_together(gauge, 0, 40, None)
    pace = gauge.current_pace(now)
    assert pace is not None and 0.5 < pace < 2
    risen = gauge.current_pace(now + 5)
    assert risen is not None and risen > 5 * pace  # little is known yet, so it is tried out quickly


def test_one_wave_of_refusals_cuts_once() -> None:
    gauge = Gauge(64)
    now = refuse_together(gauge, serve(gauge, 0, 10, 20), 30, None)
    first = gauge.current_pace(now)
    gauge.take(now - 0.06, 0)
    gauge.note_refusal(now, now - 0.06, None)  # sent before the cut
    second = gauge.current_pace(now)
    assert first is not None and second == pytest.approx(first, rel=0.05)


def test_a_flood_of_refusals_closes_the_gate_as_long_as_was_asked() -> None:
    gauge = Gauge(64)
    now = refuse_together(gauge, 0.5, 40, 3.0)
    assert gauge.wait(now, 0) == pytest.approx(3, abs=0.5) and gauge.limited_by == "the server's refusals"


def test_the_pace_recovers_and_is_forgotten() -> None:
    gauge = Gauge(64)
    now = refuse_together(gauge, serve(gauge, 0, 10, 20), 30, None)
    low = gauge.current_pace(now)
    later = gauge.current_pace(now + 5)
    assert low is not None and later is not None and later > 1.2 * low
    assert gauge.current_pace(now + 60) is None


def test_timeouts_take_slots_and_replies_give_them_back() -> None:
    gauge = Gauge(10)
    for _ in range(20):
        gauge.note_timeout()
    gauge.take(0, 0)
    assert gauge.wait(0, 0) == FOREVER  # one is always left
    gauge.give_back()
    for _ in range(200):
        gauge.note_success()
    for _ in range(9):
        gauge.take(1, 0)
    assert gauge.wait(1, 0) == 0


def test_what_the_server_says_is_left_spreads_requests() -> None:
    gauge = Gauge(64)
    gauge.take(0, 0)
    gauge.note_remaining(0, 1, 10)
    gauge.take(0, 0)
    assert gauge.wait(0, 0) == pytest.approx(10)
    plenty = Gauge(64)
    plenty.take(0, 0)
    plenty.note_remaining(0, 500, 10)
    plenty.take(0, 0)
    assert plenty.wait(0, 0) == 0


def test_the_pace_does_not_grow_while_nothing_is_asked() -> None:
    gauge = Gauge(64)
    now = refuse_together(gauge, 0, 40, 30.0)
    low, later = gauge.current_pace(now), gauge.current_pace(now + 29)
    assert low is not None and later == pytest.approx(low)
