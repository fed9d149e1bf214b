"""A ring of buffers between threads that fill them and one that empties them, in order and in bounded memory."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Generic, TypeVar

Slot = TypeVar("Slot")
Piece = TypeVar("Piece")


class Ring(Generic[Slot, Piece]):
    """Fills buffers with pieces ahead of who takes them.

    As many pieces are filled ahead as there are slots. A slot is filled again once it has been given back.

    Args:
        slots: the buffers.
        fill: fills a slot with the piece of a number, from 0; what it returns comes with the slot. It is called in
            threads of the ring, of which each has a slot for itself.
        count: how many pieces there are.
        threads: how many fill at the same time.
    """

    def __init__(
        self, slots: Sequence[Slot], fill: Callable[[Slot, int], Piece], count: int, *, threads: int = 1
    ) -> None:
        self._fill = fill
        self._count = count
        self._free: deque[tuple[Slot, Callable[[], None] | None]] = deque((slot, None) for slot in slots)
        self._filled: dict[int, tuple[Slot, Piece]] = {}
        self._failed: dict[int, BaseException] = {}
        self._next = 0
        self._stopped = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(min(threads, len(slots)))]

    def __enter__(self) -> "Ring[Slot, Piece]":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[tuple[int, Slot, Piece]]:
        """Yield the number of a piece, its slot and what ``fill`` returned, in the order of the numbers.

        Raises:
            BaseException: what ``fill`` raised for the piece whose turn it is.
        """
        for number in range(self._count):
            with self._changed:
                while number not in self._filled and number not in self._failed:
                    self._changed.wait()
                if number in self._failed:
                    raise self._failed[number]
                slot, piece = self._filled.pop(number)
            yield number, slot, piece

    def give_back(self, slot: Slot, after: Callable[[], None] | None = None) -> None:
        """Let a slot be filled again; before that ``after`` is called, which may wait for who still reads it."""
        with self._changed:
            self._free.append((slot, after))
            self._changed.notify_all()

    def _work(self) -> None:
        while (taken := self._taken()) is not None:
            number, slot, after = taken
            try:
                if after is not None:
                    after()
                piece = self._fill(slot, number)
            except BaseException as error:
                with self._changed:
                    self._failed[number] = error
                    self._stopped = True
                    self._changed.notify_all()
                return
            with self._changed:
                self._filled[number] = slot, piece
                self._changed.notify_all()

    def _taken(self) -> tuple[int, Slot, Callable[[], None] | None] | None:
        """Return the next number with a slot for it, both at once: the piece whose turn comes first has a slot."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._next == self._count or bool(self._free))
            if self._stopped or self._next == self._count:
                return None
            number = self._next
            self._next += 1
            return number, *self._free.popleft()
