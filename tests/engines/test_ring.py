"""The ring between readers and the GPU: order, bounds, errors and early ends."""

import threading
import time

import pytest

from evaltool.engines.ring import Ring


@pytest.mark.parametrize("threads", [1, 3])
def test_pieces_come_in_order_each_in_a_slot_of_its_own(threads):
    def fill(slot, number):
        time.sleep(0.002 * (number % 3))  # later ones are ready earlier
        slot[0] = number
        return number * 10

    seen = []
    with Ring([[None] for _ in range(4)], fill, 30, threads=threads) as ring:
        for number, slot, piece in ring:
            seen.append((number, slot[0], piece))
            ring.give_back(slot)
    assert seen == [(i, i, i * 10) for i in range(30)]


def test_no_more_is_filled_ahead_than_there_are_slots():
    filled = []
    with Ring(["a", "b", "c"], lambda slot, number: filled.append(number), 20, threads=2) as ring:
        for number, slot, _ in ring:
            time.sleep(0.01)
            assert max(filled) < number + 3
            ring.give_back(slot)
    assert sorted(filled) == list(range(20))


def test_a_slot_is_not_filled_before_its_reader_is_done():
    done, order = threading.Event(), []

    def wait():
        assert done.wait(5)
        order.append("read")

    with Ring(["one"], lambda slot, number: order.append(number), 2) as ring:
        pieces = iter(ring)
        _, slot, _ = next(pieces)
        ring.give_back(slot, wait)
        time.sleep(0.02)
        assert order == [0]
        done.set()
        next(pieces)
    assert order == [0, "read", 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_where_its_piece_would_come(threads):
    def fill(slot, number):
        if number == 5:
            raise OSError("the disk is gone")

    seen = []

    def take_all():
        with Ring([0, 1, 2], fill, 9, threads=threads) as ring:
            for number, slot, _ in ring:
                seen.append(number)
                ring.give_back(slot)

    with pytest.raises(OSError, match="the disk is gone"):
        take_all()
    assert seen == [0, 1, 2, 3, 4]


def test_who_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    with Ring([0, 1], lambda slot, number: None, 1000, threads=2) as ring:
        for _ in ring:
            break
    assert threading.active_count() == before


def test_nothing_to_fill_ends_at_once():
    with Ring([0], lambda slot, number: None, 0) as ring:
        assert list(ring) == []
