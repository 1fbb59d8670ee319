"""The books of all engines: each item ends once, whatever happens on the way."""

from petechia.pipeline.engines.ledger import Care, Ledger


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def books(items, **more):
    clock = Clock()
    care = Care(lost=lambda item, why: f"lost {item}: {why}", again=str, **more)
    return Ledger(items, care, clock), clock


def test_what_may_pass_is_tried_again_later_each_time_twice_as_late():
    ledger, clock = books(["a"], tries=3, pause_s=5.0)
    for pause in (5.0, 10.0):
        entry = ledger.take()
        assert not ledger.ended(entry, "later")
        assert ledger.take() is None
        assert ledger.pause_s() == pause
        clock.now += pause
    assert ledger.ended(ledger.take(), "later")  # the third time it is told
    assert not ledger.is_open()


def test_what_the_user_must_mend_is_told_at_once():
    ledger, _ = books(["a"])
    assert ledger.ended(ledger.take(), "no")
    assert not ledger.is_open()


def test_a_fault_of_the_place_is_remembered_with_the_place():
    ledger, clock = books(["a"], pause_s=1.0)
    assert not ledger.ended(ledger.take(), "elsewhere", "node-1")
    clock.now = 1.0
    assert ledger.take(fits=lambda entry: "node-1" not in entry.avoid) is None
    assert ledger.take(fits=lambda entry: "node-2" not in entry.avoid).item == "a"


def test_where_there_is_no_other_place_nothing_is_tried_elsewhere():
    ledger, _ = books(["a"])
    assert ledger.ended(ledger.take(), "elsewhere")
    assert not ledger.is_open()


def test_who_kills_two_workers_is_set_aside_and_nobody_else():
    ledger, _ = books(["poison", "fine"])
    assert ledger.died(ledger.take(), "gone") is None
    assert ledger.ended(ledger.take(), "no")
    assert ledger.died(ledger.take(), "gone") == "lost poison: gone"
    assert not ledger.is_open()


def test_what_was_sent_in_vain_comes_first_and_counts_as_no_try():
    ledger, _ = books(["a", "b"])
    entry = ledger.take()
    ledger.back(entry)
    assert ledger.take() is entry
    assert (entry.tries, entry.deaths) == (0, 0)


def test_only_what_fits_into_memory_runs_together():
    need = {"small": 100.0, "large": 900.0, "huge": 5000.0, "last": 100.0}
    ledger, _ = books(need, need_mb=need.get)
    small = ledger.take(950.0)
    assert small.item == "small"
    assert ledger.take(950.0) is None  # large waits; what is behind it does not overtake
    ledger.ended(small, "no")
    large = ledger.take(950.0)
    assert large.item == "large"
    ledger.ended(large, "no")
    huge = ledger.take(950.0)  # more than there is: alone
    assert huge.item == "huge"
    assert ledger.take(950.0) is None
    ledger.ended(huge, "no")
    assert ledger.take(950.0).item == "last"
