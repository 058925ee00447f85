"""Table 3: which cells are asked, the baseline of each cell, and the share of section 3.4."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import train_test_split

from trainables import catalog
from trainables.cells import new_cells
from trainables.protocols import Context, Pretrained
from trainables.store import Store

BINS = np.array([[1, 1, 1, 2, 0, 0, 0, 0], [3, 3, 3, 3, 3, 1, 0, 0], [2, 2, 2, 2, 2, 2, 2, 1]])


def test_five_per_cent_of_zheng68k_are_the_authors_3423_cells():
    labels = np.repeat([f"type {i}" for i in range(10)], 6845)
    cells = SimpleNamespace(n_obs=68_450, obs=pd.DataFrame({"cell_type": labels}))
    task = catalog.task("pretraining", {"protocol": "five_percent"})
    task.check(cells)
    split = task.split(cells, seed=7, draws="scbert")
    _, held = train_test_split(np.arange(68_450), test_size=0.05, random_state=2021)
    assert split.test.tolist() == sorted(held)
    assert len(split.test) == 3423
    assert not set(split.train) & set(split.test)
    assert task.drawn(cells, 7).design == "fixed"
    assert "5 % held out" in task.described(cells)


def cells_with(bins):
    """Cells whose genes have these log2 bins, many copies of each row; 0 is no expression."""
    rows = np.tile(bins, (40, 1))
    values = np.where(rows, np.log(2.0) * (rows + 0.5), 0).astype(np.float32)
    names = [f"cell {i}" for i in range(len(rows))]
    genes = pd.DataFrame(index=[f"G{i}" for i in range(rows.shape[1])])
    obs = pd.DataFrame(index=names)
    about = {"gauntlet": {"dataset": "made", "sha256": "made", "has_counts": False}}
    return new_cells(X=sparse.csr_matrix(values), obs=obs, var=genes, uns=about)


@pytest.fixture
def asked(tmp_path):
    def ask(model):
        ctx = Context(seed=3, scratch=tmp_path, store=Store(tmp_path / "store"))
        task = catalog.task("pretraining", {"protocol": "five_percent"})
        return task(model, cells_with(BINS), ctx)

    return ask


def test_each_cell_gets_its_own_commonest_bin_and_all_cells_the_overall_one(asked):
    own = asked(catalog.model("most_common_bin"))
    overall = asked(catalog.model("most_common_bin_overall"))
    assert own["test/accuracy"] == own["test/cell_constant"] > overall["test/accuracy"]
    assert own["test/modal_cells"] == 1
    assert overall["test/modal_cells"] < 1
    assert overall["test/accuracy"] <= overall["test/constant"]


class Spoiled:
    """The paper's baseline, wrong for one masked position of one cell."""

    def pretrain(self, train, valid, test, ctx):
        made = catalog.model("most_common_bin").pretrain(train, valid, test, ctx)
        given = made.commonest.copy()
        given[0] = 5
        return Pretrained(None, made.asked, given, cell=made.cell, commonest=made.commonest)


def test_one_other_answer_takes_a_cell_out_of_section_3_4s_share(asked):
    own, spoiled = asked(catalog.model("most_common_bin")), asked(Spoiled())
    n_cells = own["n_eval"]  # every cell of the held-out 5 % may have a hidden bin
    lost = 1 - spoiled["test/modal_cells"]
    assert lost >= 1 / n_cells - 1e-12
    assert round(1 / lost) == pytest.approx(1 / lost)  # one cell, whatever it has hidden
    assert 0 < 1 - spoiled["test/modal_answers"] <= lost


def test_answers_that_are_no_bins_have_no_such_scores(asked):
    class Tokens:
        def pretrain(self, train, valid, test, ctx):
            return Pretrained(None, np.array([7, 9]), np.array([7, 8]))

    found = asked(Tokens())
    assert found["test/accuracy"] == 0.5
    assert "test/cell_constant" not in found


def test_bins_of_real_blood_cells_are_common_in_a_cell_and_not_overall(shared_data, tmp_path):
    """0.69 of the hidden bins are their cell's commonest, 0.37 the commonest of all cells."""
    from trainables.cells import open_cells, prepare
    from trainables.userdata import UserFile

    store = Store(tmp_path / "store")
    cells = open_cells(prepare(UserFile(shared_data / "zheng_facs_pbmc.h5ad"), store))
    ctx = Context(seed=0, scratch=tmp_path, store=store)
    task = catalog.task("pretraining", {"protocol": "five_percent"})
    own = task(catalog.model("most_common_bin"), cells, ctx)
    overall = task(catalog.model("most_common_bin_overall"), cells, ctx)
    assert own["test/accuracy"] == pytest.approx(0.693, abs=0.01)
    assert overall["test/accuracy"] == pytest.approx(0.369, abs=0.01)
