"""How often is a difference found where there is none, when seeds are added until one is found?

`uv run python benchmarks/stopping.py [--sims 2000]`: looking at 5 % each time, and by the rule of
`gauntlet run SWEEP --until decided`, whose looks together should come to 5 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from analysis.design import Design, choose_test
from analysis.looks import Look
from analysis.offered import OFFERED, Scores
from benchmarks.calibration import of_seeds, percent, told
from benchmarks.common import show
from benchmarks.designs import (
    Arm,
    Centroids,
    Drawn,
    FixedTest,
    Resplit,
    ZeroShot,
    ridge,
)

ALPHA = 0.05
LOOKS = [(5, 10), (2, 4, 6, 8, 10), (5, 10, 15, 20), (3, 7, 11, 15, 20)]


@dataclass(frozen=True)
class Independent:
    """Pairs of scores that share nothing, with normal or heavy-tailed (t, 3 df) differences."""

    name: str
    heavy: bool = False

    def draw(self, sims: int, rng: np.random.Generator) -> Iterator[Drawn]:
        """Twenty seeds."""
        shape = (sims, 20)
        noise = rng.standard_t(3, shape) if self.heavy else rng.normal(size=shape)
        yield Drawn(self.name, Design("whole"), noise, np.zeros(shape), null="these cells")


DESIGNS = [
    Independent("independent pairs"),
    Independent("independent pairs, heavy tails", heavy=True),
    Resplit("centroids", (100, 100), Arm(Centroids(), 5, 1.5)),
    Resplit("noisy centroids", (300, 300), Arm(Centroids(0.5), 5, 1.5)),
    Resplit(
        "ridge, 5 classes, F1", (280, 210, 105, 70, 35), Arm(ridge, 10, 2.2), metric="macro_f1"
    ),
    FixedTest("fixed test set", new_cells=True),
    ZeroShot("zero-shot, two random arms"),
]


@dataclass
class Line:
    """How often each way of looking finds a difference, under one design at one label share."""

    name: str
    fraction: float
    looks: tuple[int, ...]
    sims: int
    once: float
    """At all seeds, and never before."""
    peeking: float
    """At 5 % at each look."""
    rule: float
    in_three: float
    """Of one of three such questions by chance alone at most: by the rule at a third of 5 %."""


def lines(drawn: Drawn) -> Iterator[Line]:
    """A line for each series of looks that there are seeds for."""
    for looks in LOOKS:
        if looks[-1] != drawn.a.shape[1]:
            continue
        p = np.stack([p_values(drawn, n) for n in looks], axis=-1)
        steps = [Look(i, looks) for i in range(1, len(looks) + 1)]
        crossed = [
            float((p < [step.level(alpha) for step in steps]).any(-1).mean())
            for alpha in (ALPHA, ALPHA / 3)
        ]
        peeking, once = (p < ALPHA).any(-1).mean(), (p[:, -1] < ALPHA).mean()
        ways = float(once), float(peeking), *crossed
        yield Line(drawn.name, drawn.design.fraction, looks, len(p), *ways)


def p_values(drawn: Drawn, n: int) -> np.ndarray:
    """What `auto` gives at the first n seeds of each data set; 1 where nothing varies."""
    cells = drawn.cells and of_seeds(drawn.cells, n)
    scores = Scores(drawn.a[:, :n], drawn.b[:, :n], drawn.metric, drawn.design, cells)
    chosen, _ = choose_test(n if drawn.shared else 0, drawn.design, cells is not None)
    return np.where(told(chosen, scores), OFFERED[chosen].estimate(scores).p, 1.0)


def run(designs: list, sims: int, seed: int = 1) -> list[Line]:
    """Every line of some designs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return [
            line
            for design in designs
            for drawn in design.draw(sims, np.random.default_rng(seed))
            for line in lines(drawn)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=2000)
    heads = ["design", "labels", "looks at", "all seeds, once", "peeking", "rule", "rule, a third"]
    rows: list[list[object]] = [heads]
    for line in run(DESIGNS, parser.parse_args().sims):
        rates = [percent(r, line.sims) for r in (line.once, line.peeking, line.rule, line.in_three)]
        seeds = ", ".join(map(str, line.looks))
        rows.append([line.name, f"{line.fraction:.0%}", seeds, *rates])
    show("a difference is found (%)", rows)


if __name__ == "__main__":
    main()
