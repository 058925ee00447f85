"""Which trials a free worker gets next: what is longest first, and what is short by the handful.

Nothing here knows Ray: the driver and `benchmarks/simulate.py` deal by the same rules.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

T = TypeVar("T")

HANDFUL, LEAST = 1.5, 0.2
"""Seconds that a handful of short trials lasts: so long that handing it out costs little beside it,
so short that little waits behind a lost worker. Near the end handfuls get smaller, down to `LEAST`,
so that all workers end together."""
PATIENCE = 4 * HANDFUL
"""Seconds after which a handful that takes longer than predicted ends with the trial it is at; the
rest is dealt anew."""
TRUSTED = 3
"""So many trials of its kind, run in this very sweep, outweigh what was predicted before."""


@dataclass(frozen=True)
class Kind:
    """Trials that are taken to last equally long."""

    name: Hashable
    family: Hashable = None
    """Kinds of one family stand in for each other while nothing better is known."""
    place: Hashable = None
    """What they occupy: `Deck.room` says how many handfuls may be out for each."""


class Deck(Generic[T]):
    """Trials waiting to be run, in piles of one kind."""

    def __init__(
        self,
        trials: Iterable[tuple[T, Kind]],
        predicted: Mapping[Kind, float],
        room: Mapping[Hashable, int],
    ) -> None:
        """`predicted` seconds of the kinds that anything is known of; `room`, for each place, how
        many workers it has. Trials of one kind keep their order."""
        self.piles: dict[Kind, deque[T]] = {}
        for trial, kind in trials:
            self.piles.setdefault(kind, deque()).append(trial)
        self.predicted = dict(predicted)
        self.room: dict[Any, int] = dict(room)
        self.alone: deque[tuple[T, Kind]] = deque()
        self.seen: dict[Kind, deque[float]] = {}
        self.dealt: Counter[Kind] = Counter()
        self.waiting: Counter[Hashable] = Counter()
        """Number of trials that wait for each place."""
        for kind, pile in self.piles.items():
            self.waiting[kind.place] += len(pile)

    def __len__(self) -> int:
        return self.waiting.total()

    def deal(self, places: Iterable[Hashable] | None = None) -> tuple[list[T], Kind] | None:
        """The next handful, of one kind, for one of these places; None where nothing waits.

        First what runs alone, then one trial of a kind that nothing is known of, then the kind that
        lasts longest.
        """
        free = set(self.room if places is None else places)
        for i, (trial, kind) in enumerate(self.alone):
            if kind.place in free:
                del self.alone[i]
                self.waiting[kind.place] -= 1
                return [trial], kind
        seconds = self.seconds(free)
        if not seconds:
            return None
        kind = self.first(seconds)
        size = 1 if seconds[kind] is None else self.handful(kind, seconds)
        pile = self.piles[kind]
        dealt = [pile.popleft() for _ in range(min(size, len(pile)))]
        self.dealt[kind] += len(dealt)
        self.waiting[kind.place] -= len(dealt)
        return dealt, kind

    def next_place(self, places: Iterable[Hashable]) -> Hashable | None:
        """Return the place, of these, that `deal` would serve first; None where nothing waits."""
        free = set(places)
        alone = next((kind for _, kind in self.alone if kind.place in free), None)
        if alone is not None:
            return alone.place
        seconds = self.seconds(free)
        return self.first(seconds).place if seconds else None

    def seconds(self, places: set[Hashable]) -> dict[Kind, float | None]:
        """Return the kinds that wait for these places, and the expected seconds of a trial."""
        return {
            kind: self.expected(kind)
            for kind, pile in self.piles.items()
            if pile and kind.place in places
        }

    def first(self, seconds: Mapping[Kind, float | None]) -> Kind:
        """Return the kind to deal first: the least dealt unknown one, else the longest."""
        unknown = [kind for kind, expected in seconds.items() if expected is None]
        if unknown:
            return min(unknown, key=lambda kind: self.dealt[kind])
        return max(seconds, key=lambda kind: seconds[kind] or 0.0)

    def handful(self, kind: Kind, seconds: Mapping[Kind, float | None]) -> int:
        """How many trials to give out at once: a share of what is left for the kind's place."""
        left = sum(
            (expected or 0.0) * len(self.piles[other])
            for other, expected in seconds.items()
            if other.place == kind.place
        )
        share = left / (2 * max(1, self.room.get(kind.place, 1)))
        lasts = min(HANDFUL, max(LEAST, share))
        return max(1, int(lasts / max(seconds[kind] or 0.0, 1e-4)))

    def expected(self, kind: Kind) -> float | None:
        """Seconds of a trial: by what this sweep has seen, by the prediction, by its family."""
        seen = self.seen.get(kind, ())
        if len(seen) >= TRUSTED or (seen and kind not in self.predicted):
            return median(seen)
        if kind in self.predicted:
            return self.predicted[kind]
        if kind.family is None:
            return None
        relatives = [median(s) for k, s in self.seen.items() if k.family == kind.family and s]
        return max(relatives, default=None)

    def learn(self, kind: Kind, seconds: float) -> None:
        """A trial of this kind took so long; the last nine count, as a worker's first is slow."""
        self.seen.setdefault(kind, deque(maxlen=9)).append(seconds)

    def put_back(self, trials: Iterable[T], kind: Kind) -> None:
        """Trials that were dealt and not begun, to the top of their pile."""
        back = list(trials)
        self.piles.setdefault(kind, deque()).extendleft(reversed(back))
        self.waiting[kind.place] += len(back)

    def put_alone(self, trial: T, kind: Kind) -> None:
        """A trial whose worker died: dealt before all others, and with no other in its handful."""
        self.alone.append((trial, kind))
        self.waiting[kind.place] += 1
