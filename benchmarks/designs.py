"""Designs in which no model is better, for `calibration.py`: finite cells, split again and again.

Each design draws many data sets from a population in which both arms have the same expected score,
and runs both arms on every seed of every data set. Learners are small, but they really learn, so
that seeds share training and test cells as they do in a sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from analysis.design import Design
from analysis.predictions import CellByCell

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
SEEDS = (3, 5, 10)
MOST_SEEDS = max(SEEDS)

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]
"""Features, labels, training masks [..., cells], number of classes, rng -> predictions."""


@dataclass
class Drawn:
    """What came of many data sets under one design; arrays are [data sets, seeds]."""

    name: str
    design: Design
    a: np.ndarray
    b: np.ndarray
    cells: CellByCell | None = None
    shared: bool = True
    """Whether the arms met the same seeds."""
    null: str = "new cells"
    """Of what there is no difference on average."""
    metric: str = "test/accuracy"


@dataclass(frozen=True)
class Centroids:
    """The class of the nearest mean; `noise` moves the means, as a network's seed would."""

    noise: float = 0.0

    def __call__(self, x, y, train, n_classes, rng):
        distances = []
        for k in range(n_classes):
            members = train * (y == k)
            centre = members @ x / members.sum(-1, keepdims=True)
            if self.noise:
                centre = centre + self.noise * rng.normal(size=centre.shape)
            distances.append((centre**2).sum(-1, keepdims=True) - 2 * centre @ x.T)
        return np.argmin(distances, axis=0)


def ridge(x, y, train, n_classes, rng):
    """Least squares on indicators of the classes, penalty 1."""
    one = np.c_[x, np.ones(len(x))]
    rows = train.reshape(-1, len(x)).astype(float)
    gram = np.einsum("wn,np,nq->wpq", rows, one, one, optimize=True) + np.eye(one.shape[1])
    target = (y[:, None] == np.arange(n_classes)) - 1 / n_classes
    right = np.einsum("wn,np,nk->wpk", rows, one, target, optimize=True)
    scores = np.einsum("np,wpk->wnk", one, np.linalg.solve(gram, right), optimize=True)
    return scores.argmax(-1).reshape(train.shape)


def neighbours(x, y, train, n_classes, rng, k: int = 5):
    """The most frequent class among the five nearest training cells."""
    order = ((x[:, None] - x[None]) ** 2).sum(-1).argsort(1)
    said = y[order]
    found = []
    for mask in train.reshape(-1, len(y)):
        there = mask[order]
        near = there & (there.cumsum(1) <= k)
        found.append(np.argmax([(near & (said == c)).sum(1) for c in range(n_classes)], axis=0))
    return np.reshape(found, train.shape)


@dataclass(frozen=True)
class Arm:
    """A learner and its own features: `signal` sets means of classes apart, in their spreads."""

    learner: Learner
    features: int
    signal: float

    def predictions(self, y, train, n_classes, rng, moved=0.0):
        means = np.zeros((n_classes, self.features))
        means[np.arange(n_classes), np.arange(n_classes) % self.features] = self.signal
        x = means[y] + rng.normal(size=(len(y), self.features)) + moved
        return self.learner(x, y, train, n_classes, rng)


@dataclass(frozen=True)
class Resplit:
    """One finite data set, a stratified random split a seed: what `protocol="random"` does.

    Null: over new data sets of this size, both arms score the same on average. Over new splits of
    the very same cells they do not, and a test that takes seeds for independent notices.
    """

    name: str
    sizes: tuple[int, ...]
    """Cells of each class."""
    arm: Arm
    other: Arm | None = None
    """None: the same learner on other features of the same kind, so that the arms are alike."""
    metric: str = "accuracy"
    shared: bool = True
    test: float = 0.2
    """The share of the cells that is tested on."""

    def draw(self, sims: int, rng: np.random.Generator) -> Iterator[Drawn]:
        """A `Drawn` a fraction. Arms that differ are shifted to the same mean over all draws."""
        y = np.repeat(np.arange(len(self.sizes)), self.sizes)
        seeds = MOST_SEEDS if self.shared else 2 * MOST_SEEDS
        one, two = slice(MOST_SEEDS), slice(-MOST_SEEDS, None)
        shape = (sims, len(FRACTIONS), MOST_SEEDS)
        a, b, only_a, only_b, rarity = (np.zeros(shape) for _ in range(5))
        covariance = np.zeros((*shape, MOST_SEEDS))
        score = {"accuracy": accuracy, "macro_f1": macro_f1}[self.metric]
        test, arms = splits(y, rng, seeds, self.test)[0], (self.arm, self.other or self.arm)
        n_test = test.sum(-1)[0]
        class_cells = np.bincount(y[test[0]])[y]
        for i in range(sims):
            test, train = splits(y, rng, seeds, self.test)
            first, second = (arm.predictions(y, train, len(self.sizes), rng) for arm in arms)
            a[i], adds_a = score(y, first[:, one], test[one])
            b[i], adds_b = score(y, second[:, two], test[two])
            if self.shared:
                adds = within_classes(adds_a - adds_b, y, test)
                covariance[i] = adds @ adds.swapaxes(-1, -2)
                rarity[i] = (adds**2 / class_cells).sum(-1)
                right, other = (first == y) & test, (second == y) & test
                only_a[i], only_b[i] = (right & ~other).sum(-1), (other & ~right).sum(-1)
        for j, fraction in enumerate(FRACTIONS):
            shift = (a[:, j] - b[:, j]).mean() if self.other else 0.0
            n_cells = np.full(a[:, j].shape, n_test)
            counts = only_a[:, j], only_b[:, j], n_cells, rarity[:, j]
            told = CellByCell(covariance[:, j], *counts)
            design = Design("random", n_test / len(y), fraction)
            cells = told if self.shared else None
            drawn = Drawn(self.name, design, a[:, j] - shift, b[:, j], cells, self.shared)
            yield replace(drawn, metric=f"test/{self.metric}")


def splits(
    y: np.ndarray, rng: np.random.Generator, seeds: int, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Masks, stratified and nested: test [seeds, cells], train [fractions, seeds, cells]."""
    test = np.zeros((seeds, len(y)), dtype=bool)
    train = np.zeros((len(FRACTIONS), *test.shape), dtype=bool)
    for k in np.unique(y):
        members = np.flatnonzero(y == k)
        n_test = max(1, round(share * len(members)))
        for seed in range(seeds):
            order = rng.permutation(members)
            test[seed, order[:n_test]] = True
            for j, fraction in enumerate(FRACTIONS):
                n_train = max(1, round(fraction * (len(members) - n_test)))
                train[j, seed, order[n_test : n_test + n_train]] = True
    return test, train


@dataclass(frozen=True)
class FixedTest:
    """One test set for all seeds; a cell is named rightly by chance, a seed is lucky or not.

    The arms' luck differs in size. Null: the same mean accuracy over seeds, on these very cells,
    whose predictions were not kept; or (`new_cells`) on cells of the same kind, of which these are
    but some.
    """

    name: str
    new_cells: bool = False
    n_cells: int = 300
    luck: tuple[float, float] = (0.05, 0.25)

    def draw(self, sims: int, rng: np.random.Generator) -> Iterator[Drawn]:
        """One `Drawn`: there is no label share here."""
        ease = [1 + 1.2 * rng.normal(size=(sims, 1, self.n_cells)) for _ in range(2)]
        if not self.new_cells:
            ease[1] = rng.permuted(ease[0], axis=-1)
        right = []
        for z, luck in zip(ease, self.luck, strict=True):
            u = luck * rng.normal(size=(sims, MOST_SEEDS, 1))
            # scaled so that the mean over luck is ndtr(z) whatever the luck's size
            chance = ndtr(z * np.sqrt(1 + luck**2) + u)
            right.append(rng.random(chance.shape) < chance)
        null = "new cells" if self.new_cells else "these cells"
        drawn = paired_cells(self.name, Design("fixed"), right[0], right[1], null)
        yield drawn if self.new_cells else replace(drawn, cells=None)


@dataclass(frozen=True)
class TrainedModels:
    """McNemar's own null: in every seed, the two trained models are as good as each other."""

    name: str
    n_cells: int = 500

    def draw(self, sims: int, rng: np.random.Generator) -> Iterator[Drawn]:
        """Test sets are a fifth of the same cells, another one a seed."""
        ease = 1 + rng.normal(size=(2, sims, 1, self.n_cells))
        right = rng.random((2, sims, MOST_SEEDS, self.n_cells)) < ndtr(1.4 * ease)
        chosen = rng.random((sims, MOST_SEEDS, self.n_cells)).argsort(-1)[..., : self.n_cells // 5]
        test = np.zeros(right.shape[1:], dtype=bool)
        np.put_along_axis(test, chosen, True, -1)
        yield paired_cells(
            self.name, Design("random", 0.2), *(right & test), "trained models", test
        )


def paired_cells(
    name: str,
    design: Design,
    a: np.ndarray,
    b: np.ndarray,
    null: str,
    test: np.ndarray | None = None,
) -> Drawn:
    """`Drawn` of right and wrong [data sets, seeds, cells], of cells in the test set, or of all."""
    test = np.ones(a.shape, dtype=bool) if test is None else test
    n = int(test[0, 0].sum())
    differ = (a.astype(float) - b) / n
    apart = np.where(test, differ - differ.sum(-1, keepdims=True) / n, 0.0)
    covariance = apart @ apart.swapaxes(-1, -2)
    rarity = np.diagonal(covariance, axis1=-2, axis2=-1) / n
    counts = (a & ~b).sum(-1), (b & ~a).sum(-1), np.full(a.shape[:2], n), rarity
    told = CellByCell(covariance, *counts)
    return Drawn(name, design, a.sum(-1) / n, b.sum(-1) / n, told, null=null)


@dataclass(frozen=True)
class Batches:
    """Each seed leaves out another batch, and there are as many as seeds. Null: new batches."""

    name: str
    arm: Arm
    per_batch: int = 40
    shift: float = 0.6

    def draw(self, sims: int, rng: np.random.Generator) -> Iterator[Drawn]:
        """A `Drawn` a number of batches."""
        for n in SEEDS:
            batch = np.repeat(np.arange(n), self.per_batch)
            y = np.tile(np.arange(2), n * self.per_batch // 2)
            test = batch == np.arange(n)[:, None]
            scores = np.zeros((2, sims, n))
            for i in range(sims):
                for arm in range(2):
                    moved = self.shift * rng.normal(size=(n, self.arm.features))[batch]
                    said = self.arm.predictions(y, ~test, 2, rng, moved)
                    scores[arm, i] = accuracy(y, said, test)[0]
            yield Drawn(self.name, Design("batches"), *scores, null="new batches")


@dataclass(frozen=True)
class ZeroShot:
    """All cells embedded and scored; an arm is a random projection to two dimensions, or fixed.

    Null: the same mean score over seeds, on these very cells.
    """

    name: str
    one_is_deterministic: bool = False
    n_cells: int = 60

    def draw(self, sims: int, rng: np.random.Generator) -> Iterator[Drawn]:
        """One `Drawn`: there is no label share here."""
        y = np.arange(self.n_cells) % 3
        scores = np.zeros((2, sims, MOST_SEEDS))
        for i in range(sims):
            x = np.eye(3, 8)[y] * 3 + rng.normal(size=(self.n_cells, 8))
            runs = 400 if self.one_is_deterministic else 2 * MOST_SEEDS
            z = np.einsum("np,rpd->rnd", x, rng.normal(size=(runs, 8, 2)))
            centres = np.stack([z[:, y == k].mean(1) for k in range(3)], 1)
            near = ((z[:, :, None] - centres[:, None]) ** 2).sum(-1).argmin(-1)
            score = (near == y).mean(-1)
            scores[1, i] = score[-MOST_SEEDS:]
            scores[0, i] = (
                score[:-MOST_SEEDS].mean() if self.one_is_deterministic else score[:MOST_SEEDS]
            )
        yield Drawn(self.name, Design("whole"), *scores, null="these cells")


def accuracy(y, predicted, test):
    """Scores [...] and what each cell adds to them [..., cells]."""
    right = (predicted == y) & test
    n = test.sum(-1, keepdims=True)
    score = right.sum(-1, keepdims=True) / n
    return score[..., 0], (right - score * test) / n


def macro_f1(y, predicted, test):
    """As `accuracy`; what a cell adds is the derivative of the mean of F1 over classes."""
    classes = np.unique(y)
    total, influence = 0.0, 0.0
    for k in classes:
        true, said = (y == k) & test, (predicted == k) & test
        size = np.maximum(true.sum(-1, keepdims=True) + said.sum(-1, keepdims=True), 1)
        f1 = 2 * (true & said).sum(-1, keepdims=True) / size
        total = total + f1[..., 0] / len(classes)
        influence = influence + (2.0 * (true & said) - f1 * (1.0 * true + said)) / size / len(
            classes
        )
    return total, influence


def within_classes(influence, y, test):
    """`analysis.predictions.within_classes` for many test sets at once [..., cells]."""
    found = np.zeros(influence.shape)
    for k in np.unique(y):
        there = test & (y == k)
        n = there.sum(-1, keepdims=True)
        own = np.where(there, influence, 0.0)
        apart = np.where(there, own - own.sum(-1, keepdims=True) / n, 0.0)
        found += np.where(n > 1, apart * np.sqrt(n / np.maximum(n - 1, 1)), own)
    return found
