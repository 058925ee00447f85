"""The very rows that Boiarsky et al. trained and reported on, from their own calls and seeds."""

from __future__ import annotations

import numpy as np

from trainables.seeds import random_state
from trainables.splits import Split


def boiarsky_zheng68k(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Train rows and reported rows of every run on Zheng68K, in the authors' order.

    `StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=2022)`: dist_finetune.py:214 and
    scbert_baselines_LR.ipynb. There is no test set: the reported rows also chose the epoch.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    splitter = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=2022)
    return next(splitter.split(np.zeros(len(labels)), labels))


SCBERT_FRACTIONS = (1.0, 0.75, 0.5, 0.25, 0.1)
"""The order in which dist_finetune_fewshot.py draws: a draw depends on those before it."""


def scbert_shares(train: np.ndarray, k: int) -> dict[float, np.ndarray]:
    """Repetition k's training rows at each fraction (dist_finetune_fewshot.py:219-265).

    numpy is seeded with 2021 * k once, and then draws without replacement, fraction after
    fraction: not stratified, not nested.
    """
    rng = np.random.RandomState(2021 * k)
    sizes = {fraction: round(len(train) * fraction) for fraction in SCBERT_FRACTIONS}
    return {f: rng.choice(train, size, replace=False) for f, size in sizes.items()}


def logreg_share(train: np.ndarray, fraction: float, k: int) -> np.ndarray:
    """Repetition k's training rows of the LR baseline on Zheng68K (scbert_baselines_LR.ipynb).

    numpy is seeded with k before every draw (cell 9); with all labels the rows are only permuted
    (cell 3). These are not scBERT's subsets, so the authors' comparison was unpaired.
    """
    rng = np.random.RandomState(k)
    if fraction == 1:
        return rng.permutation(train)
    return rng.choice(train, round(len(train) * fraction), replace=False)


def scgpt_share(labels: np.ndarray, train: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Rows of the scGPT and LR runs on MS, pancreas and myeloid, the same for both models.

    `train_test_split(train_size=fraction, random_state=SEED, stratify=labels)`:
    scGPT_run_all_celltypeannot_fewshot.py:337 and scGPT_baselines_LR.py:122. With all labels
    nothing is drawn.
    """
    from sklearn.model_selection import train_test_split

    if fraction == 1:
        return train
    share, _ = train_test_split(
        train, train_size=fraction, random_state=seed, stratify=labels[train]
    )
    return np.asarray(share)


def paper_split(
    labels: np.ndarray,
    seed: int,
    *,
    fraction: float = 1.0,
    marks: np.ndarray | None = None,
    draws: str = "logreg",
) -> Split:
    """The rows that Boiarsky et al. used, in their order.

    With `marks` (the scGPT authors' train and test files): the test file is reported, and 10 % of
    the share are chosen on. The authors drew those by `train_test_split(test_size=0.1)` from a
    global state that no one can replay; here the named stream stands in for it. The LR baseline
    trained on the whole share: a model with `draws = "logreg"` gets it, valid being part of it.
    Without marks (Zheng68K): `draws` says whose few-shot rows, "scbert" or "logreg"; `seed` is the
    repetition k, and what is reported is also chosen on.

    Raises ValueError for a fraction that the authors' replayed draws do not have.
    """
    if marks is not None:
        return scgpt_split(labels, marks, seed, fraction, draws)
    train, reported = boiarsky_zheng68k(labels)
    if draws == "scbert":
        if fraction not in SCBERT_FRACTIONS:
            raise ValueError(f"the paper drew no share of {fraction}; it has: {SCBERT_FRACTIONS}")
        share = scbert_shares(train, seed)[fraction]
    else:
        share = logreg_share(train, fraction, seed)
    return Split(share, reported, reported, selected_on_test=True)


def scgpt_split(
    labels: np.ndarray, marks: np.ndarray, seed: int, fraction: float, draws: str
) -> Split:
    """See `paper_split`."""
    from sklearn.model_selection import train_test_split

    train, test = np.flatnonzero(marks == "train"), np.flatnonzero(marks == "test")
    share = scgpt_share(labels, train, fraction, seed)
    part, valid = train_test_split(
        share, test_size=0.1, shuffle=True, random_state=random_state(seed, "valid")
    )
    return Split(share if draws == "logreg" else np.asarray(part), np.asarray(valid), test)
