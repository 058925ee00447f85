"""Models that learn from test cells are caught, and their trials say so."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from orchestrator.execute import execute
from trainables import catalog
from trainables.audit import Leak
from trainables.cells import open_cells, prepare
from trainables.protocols import Card, Predictions
from trainables.tasks.annotation import TASK as Annotation
from trainables.trial import Trial


@dataclass(frozen=True)
class Transductive:
    """Standardises with the mean of the test cells, which it must not know."""

    tells: bool = True
    card: ClassVar = Card(summary="a model that leaks")

    def fit_predict(self, train, valid, test, ctx):
        from sklearn.neighbors import NearestCentroid

        names = [*train.obs_names, *test.obs_names] if self.tells else train.obs_names
        ctx.saw("scaling", names)
        x, z = train.X.toarray(), test.X.toarray()
        fitted = NearestCentroid().fit(x - x.mean(0), train.obs["cell_type"].astype(str))
        shift = z.mean(0) * (1 + np.arange(z.shape[0]).sum() % 7)  # depends on who else is there
        return Predictions(
            test=fitted.predict(z - shift), valid=fitted.predict(valid.X.toarray() - x.mean(0))
        )


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


def test_a_fitting_step_that_saw_test_cells_ends_the_trial(cells, ctx):
    with pytest.raises(Leak, match=r"scaling saw 48 of the 48 test cells"):
        Annotation()(Transductive(), cells, ctx)


def test_a_leak_that_is_not_told_shows_when_the_model_is_asked_again(cells, ctx):
    with pytest.raises(Leak, match="learns from test cells"):
        Annotation(replay=True)(Transductive(tells=False), cells, ctx)


def test_an_honest_model_passes_both_audits(cells, ctx):
    found = Annotation(replay=True)(catalog.model("pca+probe"), cells, ctx)
    assert found["test/accuracy"] > 0


def test_the_trial_of_a_leaking_model_is_failed_with_the_reason(tmp_path, monkeypatch):
    known = catalog.find
    leaks = {("models", "leaky"): Transductive}
    monkeypatch.setattr(catalog, "find", lambda *key: leaks.get(key) or known(*key))
    record = execute(Trial("leaky", "annotation", "toy", 0), tmp_path, code_version="test")
    assert record["status"] == "failed"
    assert record["reason"] == "scaling saw 48 of the 48 test cells"
    assert record["metrics"] == {}


def test_a_record_keeps_which_cells_each_step_saw(tmp_path):
    record = execute(Trial("pca+probe", "annotation", "toy", 0), tmp_path, code_version="test")
    steps = {step["step"]: step for step in record["saw"]}
    assert set(steps) == {"probe fit", "pca fit"}
    assert steps["pca fit"]["cells"] == steps["probe fit"]["cells"] == 168
    assert steps["pca fit"]["sha256"] == steps["probe fit"]["sha256"]
