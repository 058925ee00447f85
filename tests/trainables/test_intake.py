"""Every kind of file is read rightly or refused, by `data check` and `run` alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.data_sources import to_check
from orchestrator.known_sweeps import find_sweep
from orchestrator.planning import plan
from orchestrator.ready import ready
from orchestrator.storage import store
from tests.trainables.intake_cases import (  # noqa: F401  cases enter
    features,
    genes,
    labels,
    logarithms,
    scales,
    sources,
    values,
)
from tests.trainables.intake_cases.table import CASES, logged, made
from trainables.cells import decision, open_cells, prepare
from trainables.userdata import UserFile


@pytest.fixture(scope="module")
def truth():
    """ln(1 + counts per 10,000) and the counts of the made cells."""
    return logged().toarray(), made().X.toarray()


@pytest.fixture
def mine(request, tmp_path) -> UserFile:
    """The file of a case, written, with what a user would type."""
    chosen = CASES[request.param]
    path = tmp_path / "mine.h5ad"
    chosen.build().write_h5ad(path)
    return UserFile(path, **chosen.options)


def as_run(mine: UserFile, storage: Path) -> str:
    """The sentence by which `gauntlet run quickstart` refuses the file; empty if it starts."""
    try:
        sweep = find_sweep("quickstart").on(mine, name="quickstart-mine")
        ready(plan(sweep, storage, seeds=1, fractions=[1.0]), lambda note: None)
    except (ValueError, LookupError) as error:
        return str(error)
    return ""


def as_check(mine: UserFile) -> str:
    """The sentence by which `gauntlet data check` refuses the file; empty if it is fine."""
    path, *options = (getattr(mine, name) for name in mine.__dataclass_fields__)
    try:
        return to_check(str(path), tuple(options), "annotation").refused
    except (ValueError, LookupError) as error:
        return str(error)


@pytest.mark.parametrize(("name", "mine"), [(name, name) for name in CASES], indirect=["mine"])
def test_a_file_is_read_rightly_or_refused_by_check_and_run_alike(name, mine, truth, tmp_path):
    chosen = CASES[name]
    refused = as_run(mine, tmp_path / "runs")
    assert as_check(mine) == refused
    assert bool(refused) == (chosen.expected == "refused"), refused
    if refused:
        assert chosen.says in refused
        assert "\n" not in refused
        return
    cells = open_cells(prepare(mine, store(tmp_path / "runs")))
    taken = decision(cells)
    assert chosen.says in " ".join(taken.notes)
    rows = made().obs_names.get_indexer(cells.obs_names.str.removesuffix("-again"))
    columns = made().var_names.get_indexer(cells.var_names)
    if chosen.expected in ("ids", "corrected"):
        assert cells.shape == made().shape
        return
    assert (rows >= 0).all()
    assert (columns >= 0).all()
    right, counts = (matrix[np.ix_(rows, columns)] for matrix in truth)
    np.testing.assert_allclose(cells.X.toarray(), right, atol=chosen.tolerance)
    assert cells.uns["gauntlet"]["has_counts"] == (chosen.expected == "counts")
    assert (taken.values.kind == "counts") == (chosen.expected == "counts")
    if chosen.expected == "counts":
        np.testing.assert_array_equal(cells.layers["counts"].toarray(), counts)
