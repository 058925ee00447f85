"""How `conformance` asks a model for all it can say of cells, and judges what it said."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import random
import sys
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainables.cells import open_cells, parted, prepare, rows
from trainables.protocols import (
    Annotator,
    Cells,
    Context,
    Dataset,
    Embedder,
    NotApplicable,
    Pretrainer,
    Reconstructor,
)
from trainables.splits import random_split
from trainables.store import Store

Answers = dict[str, np.ndarray]


@cache
def shelf() -> tempfile.TemporaryDirectory[str]:
    """Prepared cells, for as long as the process lives."""
    return tempfile.TemporaryDirectory(prefix="gauntlet-conformance-")


def opened(dataset: Dataset) -> Cells:
    """Prepared cells on disk, as every trial meets them."""
    return open_cells(prepare(dataset, Store(Path(shelf().name))))


def parts(cells: Any) -> tuple[Any, Any, Any]:
    """Train, valid and test cells, as the task `annotation` hands them to a model."""
    train, valid, test = parted(cells, split(cells))
    return train, valid, test


def split(cells: Any) -> list[np.ndarray]:
    """Row numbers of the three parts, also where there is but one class."""
    kinds = cells.obs["cell_type"].astype(str).to_numpy()
    if len(np.unique(kinds)) > 1:
        drawn = random_split(kinds, 0)
        return [drawn.train, drawn.valid, drawn.test]
    return np.array_split(np.arange(len(kinds)), [len(kinds) // 2, -len(kinds) // 4])


def blind(cells: Any, index: np.ndarray, mislabelled: bool = False) -> Any:
    """Cells that a model shall not see labels of: with none, or with wrong ones to read."""
    some: Any = rows(cells, index, labels=False).copy()  # pyright: ignore[reportAttributeAccessIssue]
    if mislabelled:
        kinds = np.sort(cells.obs["cell_type"].astype(str).to_numpy()[index])
        some.obs["cell_type"] = pd.Categorical(np.roll(kinds, len(kinds) // 2)[::-1])
    return some


def marked(cells: Any) -> Any:
    """All cells without labels, each marked with its part."""
    everyone = blind(cells, np.arange(cells.n_obs))
    marks = np.repeat("train", cells.n_obs).astype(object)
    for name, index in zip(("valid", "test"), split(cells)[1:], strict=True):
        marks[index] = name
    everyone.obs["split"] = marks
    return everyone


def answers(
    model: Any,
    cells: Any,
    ctx: Context,
    *,
    mislabelled: bool = False,
    backwards: bool = False,
    test_cells: int | None = None,
) -> Answers:
    """All that a model says of cells, rows in the order of the cells whatever it was asked in."""
    turn = slice(None, None, -1 if backwards else 1)
    said: Answers = {}
    train, valid, _ = parts(cells)
    if isinstance(model, Annotator):
        test = blind(cells, split(cells)[2], mislabelled)[:test_cells][turn].copy()
        predicted = model.fit_predict(train, valid, test, ctx)
        said = {"test": np.asarray(predicted.test)[turn], "valid": np.asarray(predicted.valid)}
    if isinstance(model, Pretrainer) and not backwards:  # what is masked goes by the row
        unlabelled = [blind(cells, index, mislabelled) for index in split(cells)]
        found = model.pretrain(unlabelled[0], unlabelled[1], unlabelled[2], ctx)
        said |= {"masked": found.asked, "guessed": found.given}
    everyone = blind(cells, np.arange(cells.n_obs), mislabelled)[turn].copy()
    return said | {name: rows[turn] for name, rows in embedded(model, everyone, ctx).items()}


def embedded(model: Any, cells: Any, ctx: Context) -> Answers:
    """What a model says of cells as a whole."""
    said: Answers = {}
    if isinstance(model, Embedder):
        said["embedding"] = np.asarray(model.embed(cells, ctx))
    if isinstance(model, Reconstructor):
        found = model.reconstruct(cells, ctx)
        said |= {"asked": found.asked.toarray(), "given": found.given.toarray()}
    return said


def answers_elsewhere(model: bytes, dataset: bytes) -> Answers:
    """`answers` of a pickled model, in whichever process this runs."""
    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place))
        cells = open_cells(prepare(pickle.loads(dataset), store))
        ctx = Context(seed=0, scratch=Path(place), store=store)
        return answers(pickle.loads(model), cells, ctx)


@cache
def other_process() -> ProcessPoolExecutor:
    """One other process that shares nothing with this one, for all models."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def same(ours: Answers, theirs: Answers, tolerance: float, after: str) -> None:
    """Raise AssertionError where labels differ, or coordinates by more than is tolerated."""
    for what, answer in ours.items():
        other = theirs[what]
        assert answer.shape == other.shape, f"{after}: {what} is {other.shape}, was {answer.shape}"
        if answer.dtype.kind in "OUS":
            moved = (answer.astype(str) != other.astype(str)).sum()
            assert not moved, f"{after}: {moved} of {len(answer)} labels in {what} are others"
            continue
        far = np.abs(answer - other).max(initial=0) / max(np.abs(answer).max(initial=0), 1e-12)
        assert far <= tolerance, f"{after}: {what} moved by {far:.2g} of its largest value"


def answered_or_refused(ask: Callable[[], Any]) -> Any:
    """What was answered; None where it was refused in one sentence of ours.

    Raises AssertionError for an error that comes out of a library, which tells a user nothing.
    """
    try:
        return ask()
    except (ValueError, LookupError, NotApplicable) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        ours = "site-packages" not in where.filename and "/lib/python" not in where.filename
        said = str(error)
        assert ours, f"refuse it in a sentence; {where.filename}:{where.lineno} says: {said}"
        assert len(said.splitlines()) == 1, f"one sentence, not: {said!r}"
        return None


def fingerprint(cells: Cells) -> str:
    """sha256 of all that a model could have changed."""
    seen = hashlib.sha256()
    for matrix in (cells.X, *(cells.layers[name] for name in sorted(cells.layers))):
        for part in (matrix.data, matrix.indices, matrix.indptr):
            seen.update(np.ascontiguousarray(part).tobytes())
    for table in (cells.obs, cells.var):
        seen.update(table.to_csv().encode())
    seen.update(repr((sorted(cells.uns), cells.uns.get("gauntlet"))).encode())
    return seen.hexdigest()


def randomness() -> str:
    """The state of every global generator that is loaded."""
    states = [repr(random.getstate()), repr(np.random.get_state())]  # noqa: NPY002
    if torch := sys.modules.get("torch"):
        states.append(hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest())
    return "".join(states)
