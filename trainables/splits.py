"""Who is trained on, who is chosen on, who is reported on: drawn once per seed for every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from trainables.seeds import stream


@dataclass(frozen=True)
class Split:
    """Row numbers. The parts are disjoint, save where a paper chose on the cells it reported."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    selected_on_test: bool = False


def random_split(
    labels: np.ndarray,
    seed: int,
    *,
    test: float = 0.2,
    valid: float = 0.1,
    fraction: float = 1.0,
    copy_of: np.ndarray | None = None,
) -> Split:
    """A stratified split, with `valid` inside what is not `test`, and a share of its labels.

    `test` and `valid` are shares of all cells. `fraction` keeps that share of the labelled cells
    (train and valid alike) and leaves `test` as it is. Every class has at least one cell in each
    of the three parts; smaller shares lie inside larger ones, class by class.

    `copy_of` holds for each cell the first cell of the very same values: copies are in the part of
    their original. Raises ValueError when a class has fewer than three cells that are no copies.
    """
    labels = np.asarray(labels)
    if copy_of is not None:
        first = np.unique(copy_of)
        drawn = random_split(labels[first], seed, test=test, valid=valid, fraction=fraction)
        return with_copies(drawn, first, np.arange(len(labels)), copy_of)
    if test <= 0 or valid <= 0 or test + valid >= 1:
        raise ValueError(f"test={test} and valid={valid} must be positive and leave cells to train")
    # numbers in the names' order: compared sooner
    labels, names = pd.factorize(labels, sort=True)
    sizes = np.bincount(labels).tolist()
    check_class_sizes(dict(zip(names.tolist(), sizes, strict=True)), least=3)
    reported, rest = taken(labels, np.arange(len(labels)), test, stream(seed, "split"), leave=2)
    return labelled_share(labels, rest, reported, seed, valid / (1 - test), fraction)


def leave_batch_out(
    labels: np.ndarray,
    batches: np.ndarray,
    seed: int,
    *,
    valid: float = 0.1,
    fraction: float = 1.0,
    copy_of: np.ndarray | None = None,
) -> Split:
    """Train on all batches but one, report on that one: seed s leaves out batch s (modulo).

    As many seeds as there are batches, from 0, leave out each once. Cells of the left-out batch
    whose class occurs nowhere else cannot be named by anyone and are in no part. Nor are copies in
    other batches (see `random_split`) of its cells.

    Raises ValueError where there is but one batch or the left-out one shares no class.
    """
    labels, batches = np.asarray(labels), np.asarray(batches)
    left_out = batch_left_out(batches, seed)
    rest = np.flatnonzero(batches != left_out)
    held = np.flatnonzero(batches == left_out)
    return transfer(labels, rest, held, seed, valid, fraction, f"batch {left_out!r}", copy_of)


def batch_left_out(batches: np.ndarray, seed: int) -> str:
    """Name of the batch that a seed leaves out: number `seed` of the sorted names (modulo).

    Raises ValueError where there is but one batch.

    >>> [batch_left_out(np.array(["b", "a", "b"]), seed) for seed in (0, 1, 2)]
    ['a', 'b', 'a']
    """
    names = np.unique(batches).tolist()
    if len(names) < 2:
        raise ValueError(
            f"every cell is of batch {names[0]!r}: leaving a batch out needs at least two;"
            " name their column with --batch-key"
        )
    return names[seed % len(names)]


def fixed_split(
    labels: np.ndarray,
    marks: np.ndarray,
    seed: int,
    *,
    valid: float = 0.1,
    fraction: float = 1.0,
    copy_of: np.ndarray | None = None,
) -> Split:
    """The data set's own train and test cells; only valid and the share depend on the seed.

    `marks` holds "train" or "test" for every cell. Test cells of a class that was never to be
    trained on are in no part, nor are training cells that are copies (see `random_split`) of test
    cells.

    Raises ValueError where marks are missing.
    """
    labels, marks = np.asarray(labels), np.asarray(marks)
    if set(marks) != {"train", "test"}:
        raise ValueError(
            f"a fixed split needs cells marked train and test; found {sorted(set(marks))}"
        )
    train, test = np.flatnonzero(marks == "train"), np.flatnonzero(marks == "test")
    return transfer(labels, train, test, seed, valid, fraction, "the test set", copy_of)


def transfer(
    labels: np.ndarray,
    rest: np.ndarray,
    held: np.ndarray,
    seed: int,
    valid: float,
    fraction: float,
    what: str,
    copy_of: np.ndarray | None = None,
) -> Split:
    """Train and valid among `rest`, test among `held`, on the classes that can be learned."""
    every = rest
    if copy_of is not None:
        every = rest[~np.isin(copy_of[rest], copy_of[held])]
        rest = every[np.unique(copy_of[every], return_index=True)[1]]
    names, sizes = np.unique(labels[rest], return_counts=True)
    learnable = names[sizes >= 2]  # one to train on and one to choose on
    reported = held[np.isin(labels[held], learnable)]
    if not len(reported):
        raise ValueError(f"{what} shares no cell type with the cells to train on")
    usable = rest[np.isin(labels[rest], learnable)]
    drawn = labelled_share(labels, usable, reported, seed, valid, fraction)
    if copy_of is None:
        return drawn
    train, valid_rows = (
        every[np.isin(copy_of[every], copy_of[part])] for part in (drawn.train, drawn.valid)
    )
    return Split(train, valid_rows, drawn.test)


def with_copies(split: Split, first: np.ndarray, rows: np.ndarray, copy_of: np.ndarray) -> Split:
    """A split of the cells `first`, by their number there, with the copies of each cell."""
    parts = (split.train, split.valid, split.test)
    train, valid, test = (rows[np.isin(copy_of, first[part])] for part in parts)
    return Split(train, valid, test)


def labelled_share(
    labels: np.ndarray,
    rest: np.ndarray,
    test: np.ndarray,
    seed: int,
    valid: float,
    fraction: float,
) -> Split:
    """Part `rest` into train and valid, then keep a share of each class of both, at least one."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must be above 0 and at most 1")
    chosen_on, trained_on = taken(labels, rest, valid, stream(seed, "valid"), leave=1)
    return Split(
        train=fewer(labels, trained_on, fraction, seed),
        valid=fewer(labels, chosen_on, fraction, seed),
        test=np.sort(test),
    )


def taken(
    labels: np.ndarray, rows: np.ndarray, share: float, rng: np.random.Generator, *, leave: int
) -> tuple[np.ndarray, np.ndarray]:
    """A stratified share of some rows, at least one of each class, and the rows that remain.

    Of each class at least `leave` rows remain.
    """
    shuffled = rng.permutation(rows)
    there = labels[shuffled]
    chosen = np.zeros(len(rows), dtype=bool)
    classes, sizes = np.unique(there, return_counts=True)
    for label, wanted in zip(classes, class_shares(sizes, share), strict=True):
        members = np.flatnonzero(there == label)
        chosen[members[: min(wanted, len(members) - leave)]] = True
    return shuffled[chosen], shuffled[~chosen]


def class_shares(sizes: np.ndarray, share: float) -> np.ndarray:
    """How many cells of each class, of so many, a share takes: at least one of each.

    Largest remainders round the rest, so that the total is the share of all cells.

    >>> class_shares(np.array([50, 25, 5]), 0.2).tolist()
    [10, 5, 1]
    """
    exact = sizes * share
    counts = np.maximum(np.floor(exact).astype(int), 1)
    missing = round(sizes.sum() * share) - counts.sum()
    if missing > 0:
        by_remainder = np.argsort(-(exact - np.floor(exact)), kind="stable")
        open_classes = by_remainder[exact[by_remainder] > 1]
        counts[open_classes[:missing]] += 1
    return counts


def fewer(labels: np.ndarray, rows: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """A share of each class's rows, at least one; smaller shares lie inside larger ones.

    >>> labels, rows = np.array(list("aaaabb")), np.arange(6)
    >>> small, large = (fewer(labels, rows, f, seed=0) for f in (0.5, 1.0))
    >>> len(small), set(small) <= set(large)
    (3, True)
    """
    if fraction == 1:
        return np.sort(rows)
    order = stream(seed, "subset").permutation(np.sort(rows))
    kept = []
    for label in np.unique(labels[order]):
        members = order[labels[order] == label]
        kept.append(members[: max(1, round(len(members) * fraction))])
    return np.sort(np.concatenate(kept))


def check_class_sizes(sizes: Mapping[str, int], least: int) -> None:
    """Raise ValueError naming the classes that are too small to be in every part."""
    small = [f"{name!r} ({n})" for name, n in sorted(sizes.items()) if n < least]
    if small:
        more = f" and {len(small) - 8} more" if len(small) > 8 else ""
        raise ValueError(
            f"too few cells of {', '.join(small[:8])}{more}: each cell type needs at least"
            f" {least}, one to train, one to choose and one to test on; merge or drop it"
            f" (--min-cells {least})"
        )
    if len(sizes) < 2:
        only = next(iter(sizes), "without a type")
        raise ValueError(f"every cell is {only!r}: there is nothing to tell apart")
