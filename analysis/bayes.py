"""How likely is each of three answers, better, alike or worse, given the scores?"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.intervals import Number, TEstimate


@dataclass(frozen=True)
class Posterior:
    """The Bayesian correlated t test (Corani & Benavoli 2015, doi:10.1007/s10994-015-5486-z).

    With a flat prior the difference is distributed as Student's t about the observed one, with the
    error of the corrected resampled t test. It has no p-value: `chances` are its answer, and
    `interval` holds the difference with that posterior chance.
    """

    t: TEstimate

    p = float("nan")
    statistic = float("nan")

    @property
    def difference(self) -> Number:
        return self.t.difference

    @property
    def df(self) -> Number:
        return self.t.df

    @property
    def floor(self) -> Number:
        return self.t.floor

    def above(self, value: float) -> Number:
        """The posterior chance of a difference of `value` or less."""
        return self.t.above(value)

    def below(self, value: float) -> Number:
        return self.t.below(value)

    def interval(self, level: float = 0.95) -> tuple[Number, Number]:
        return self.t.interval(level)

    def chances(self, margin: float) -> tuple[Number, Number, Number]:
        """That a is worse, within +- margin (the region of practical equivalence), better."""
        worse, better = self.t.above(-margin), self.t.below(margin)
        return worse, 1 - worse - better, better
