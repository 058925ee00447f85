"""Who is trained on, who is chosen on, who is reported on: drawn once per seed for every model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.seeds import stream


@dataclass(frozen=True)
class Split:
    """Row numbers, ascending: three disjoint sets that together are every cell at fraction 1."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def random_split(
    labels: np.ndarray, seed: int, *, test: float = 0.2, valid: float = 0.1, fraction: float = 1.0
) -> Split:
    """A stratified split, with `valid` inside what is not `test`, and a share of its labels.

    `test` and `valid` are shares of all cells. `fraction` keeps that share of the labelled cells
    (train and valid alike) and leaves `test` as it is. Every class has at least one cell in each
    of the three parts; smaller shares lie inside larger ones, class by class.

    Raises ValueError when a class has fewer than three cells.
    """
    labels = np.asarray(labels)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must be above 0 and at most 1")
    if test <= 0 or valid <= 0 or test + valid >= 1:
        raise ValueError(f"test={test} and valid={valid} must be positive and leave cells to train")
    check_class_sizes(labels)
    shuffled = stream(seed, "split").permutation(len(labels))
    parts: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
    rooms = class_shares(labels, test), class_shares(labels, valid)
    for label, n_test, n_valid in zip(np.unique(labels), *rooms, strict=True):
        members = shuffled[labels[shuffled] == label]
        n_test = min(n_test, len(members) - 2)  # leave one to choose on and one to train on
        n_valid = min(n_valid, len(members) - n_test - 1)
        parts["test"].append(members[:n_test])
        parts["valid"].append(members[n_test : n_test + n_valid])
        parts["train"].append(members[n_test + n_valid :])
    return Split(
        train=fewer(parts["train"], fraction, seed),
        valid=fewer(parts["valid"], fraction, seed),
        test=np.sort(np.concatenate(parts["test"])),
    )


def check_class_sizes(labels: np.ndarray, least: int = 3) -> None:
    """Raise ValueError naming the classes that are too small to be in train, valid and test."""
    names, counts = np.unique(np.asarray(labels), return_counts=True)
    small = [f"{name!r} ({n})" for name, n in zip(names.tolist(), counts, strict=True) if n < least]
    if small:
        raise ValueError(
            f"too few cells of {', '.join(small)}: each cell type needs at least {least}, one to"
            f" train, one to choose and one to test on; merge or drop it (--min-cells {least})"
        )
    if len(names) < 2:
        raise ValueError(f"every cell is {names[0]!r}: there is nothing to tell apart")


def class_shares(labels: np.ndarray, share: float) -> np.ndarray:
    """How many cells of each class (in sorted order) a share takes: at least one of each.

    Largest remainders round the rest, so that the total is the share of all cells.

    >>> class_shares(np.repeat(["a", "b", "c"], [50, 25, 5]), 0.2).tolist()
    [10, 5, 1]
    """
    _, sizes = np.unique(labels, return_counts=True)
    exact = sizes * share
    taken = np.maximum(np.floor(exact).astype(int), 1)
    missing = round(len(labels) * share) - taken.sum()
    if missing > 0:
        by_remainder = np.argsort(-(exact - np.floor(exact)), kind="stable")
        open_classes = by_remainder[exact[by_remainder] > 1]
        taken[open_classes[:missing]] += 1
    return taken


def fewer(classes: list[np.ndarray], fraction: float, seed: int) -> np.ndarray:
    """A share of each class's cells, at least one; smaller shares lie inside larger ones."""
    rng = stream(seed, "subset")
    orders = [rng.permutation(members) for members in classes]
    kept = [order[: max(1, round(len(order) * fraction))] for order in orders]
    return np.sort(np.concatenate(kept))
