"""One lab's scores do not depend on how the same cells were written into a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from analysis.significance import compare
from tests.analysis.conftest import scores_table
from tests.trainables.intake_cases import logarithms, sources, values
from tests.trainables.intake_cases.table import cells, counts, logged, made
from trainables.cells import decision, open_cells, prepare
from trainables.genes.panel import Panel
from trainables.metrics.integration import asw_batch
from trainables.models.pca import PCA
from trainables.protocols import Context
from trainables.splits import fixed_split, leave_batch_out, random_split
from trainables.store import Store
from trainables.trial import Trial
from trainables.userdata import UserFile

WAYS = {
    "counts": (values.csr_counts, None),
    "ln of CP10k": (logarithms.ln_cp10k, None),
    "ln of CPM": (logarithms.ln_cpm, None),
    "log2": (logarithms.log2_cp10k, None),
    "log2 that is stated": (logarithms.log2_that_the_file_states, None),
    "ln of median depth": (logarithms.ln_of_median_depth, None),
    "counts beside scaled X": (sources.scaled_with_layer, None),
    "proportions, on the user's word": (values.proportions, "linear"),
}


@dataclass(frozen=True)
class Outcome:
    """Results on the made cells, written in one way."""

    id: str
    cells: Any
    """The prepared cells."""
    scores: dict[str, list[dict[str, float]]]
    """Scores of each model, a seed after the other."""
    asw_batch: float
    """Silhouette of the batches on principal components."""


def hard(written: Any) -> Any:
    """The cells with a third of their types shuffled, so that models differ and make mistakes."""
    rng = np.random.default_rng(5)
    some = rng.permutation(written.n_obs)[: written.n_obs // 3]
    types = written.obs["cell_type"].to_numpy(copy=True)
    types[some] = rng.permutation(types[some])
    written.obs["cell_type"] = types
    return written


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Outcomes by the way in which the cells were written."""
    folder = tmp_path_factory.mktemp("ways")
    ctx = Context(seed=0, scratch=folder, store=Store(folder / "store"))
    outcomes = {}
    for number, (way, (build, word)) in enumerate(WAYS.items()):
        path = folder / f"{number}.h5ad"
        hard(build()).write_h5ad(path)
        mine = UserFile(path, "cell_type", "batch", values=word)
        cells = open_cells(prepare(mine, ctx.store))
        words = {"dataset_sha256": mine.sha256}
        trials = {
            model: [Trial(model, "annotation", "mine", seed, 0.25, **more) for seed in range(4)]
            for model, more in (
                ("logreg", words | {"model_params": {"C": 1.0}}),
                ("pca+knn", words | {"model_params": {"embedder.n_components": 10}}),
            )
        }
        scores = {model: [trial.run(ctx) for trial in same] for model, same in trials.items()}
        mixed = asw_batch(PCA(10).embed(cells, ctx), cells.obs["batch"].to_numpy())
        outcomes[way] = Outcome(trials["logreg"][0].id, cells, scores, mixed)
    return outcomes


@pytest.mark.parametrize("way", WAYS)
def test_scores_do_not_depend_on_how_cells_were_written(way, results):
    for model, expected in results["counts"].scores.items():
        for seed, scores in enumerate(results[way].scores[model]):
            for metric in ("test/accuracy", "test/macro_f1", "valid/macro_f1"):
                assert scores[metric] == pytest.approx(expected[seed][metric], abs=0.005)
    assert 0.3 < results[way].scores["logreg"][0]["test/accuracy"] < 0.95


@pytest.mark.parametrize("way", WAYS)
def test_the_verdict_does_not_depend_on_how_cells_were_written(way, results):
    rows = {}
    for name in ("counts", way):
        f1 = [
            [scores["test/macro_f1"] for scores in results[name].scores[model]]
            for model in ("logreg", "pca+knn")
        ]
        rows[name] = compare(scores_table(*f1), "a", "b", test="paired", select_on="none").iloc[0]
    assert rows[way]["verdict"] == rows["counts"]["verdict"]
    assert rows[way]["difference"] == pytest.approx(rows["counts"]["difference"], abs=0.005)
    assert rows[way]["p"] == pytest.approx(rows["counts"]["p"], rel=0.2)


@pytest.mark.parametrize("way", WAYS)
def test_batches_mix_alike_however_cells_were_written(way, results):
    assert results[way].asw_batch == pytest.approx(results["counts"].asw_batch, abs=0.002)


@pytest.mark.parametrize("way", WAYS)
def test_scbert_reads_the_same_tokens_however_cells_were_written(way, results):
    """A value at the border of two bins may fall into either, by its last digit."""
    genes = Panel(tuple(results["counts"].cells.var_names))
    tokens, expected = (
        genes.tokens(results[name].cells, rescale=False).toarray() for name in (way, "counts")
    )
    assert len(np.unique(expected)) > 4
    assert np.abs(tokens - expected).max() <= 1
    assert (tokens != expected).mean() < 1e-3


def test_ids_know_what_was_decided(results):
    assert len({outcome.id for outcome in results.values()}) == len(WAYS)


@pytest.mark.parametrize("other", [{"values": "counts"}, {"counts_layer": "X"}])
def test_an_option_that_may_decide_is_part_of_the_identity(other, tmp_path):
    cells().write_h5ad(tmp_path / "mine.h5ad")
    assert (
        UserFile(tmp_path / "mine.h5ad", **other).sha256 != UserFile(tmp_path / "mine.h5ad").sha256
    )


def test_one_line_says_what_was_decided(tmp_path: Path):
    found = sources.scaled_with_raw()
    found.obs.loc[found.obs_names[:14], "cell_type"] = np.nan
    found.write_h5ad(tmp_path / "mine.h5ad")
    taken = UserFile(tmp_path / "mine.h5ad", "cell_type", "batch").intake.decision
    assert taken.sentence == (
        "X: counts from .raw (1,500 genes); gene names from var_names; 14 unlabelled cells left out"
    )


# ---- copies of a cell --------------------------------------------------------------------------


def each_twice(folder: Path):
    """Every made cell twice, under random labels."""
    again = cells()
    again.obs_names = [f"{name}-again" for name in again.obs_names]
    both = ad.concat([cells(), again])
    labels = np.random.default_rng(1).choice(list("abcd"), made().n_obs)
    both.obs["cell_type"] = np.tile(labels, 2)
    both.write_h5ad(folder / "twice.h5ad")
    return open_cells(prepare(UserFile(folder / "twice.h5ad", "cell_type"), Store(folder)))


def test_copies_do_not_help_a_model_to_guess_random_labels(tmp_path):
    both = each_twice(tmp_path)
    assert decision(both).copies == made().n_obs
    sha256 = both.uns["gauntlet"]["sha256"]
    ctx = Context(seed=0, scratch=tmp_path, store=Store(tmp_path))
    words = {"model_params": {"C": 1.0}, "dataset_sha256": sha256}
    scores = [Trial("logreg", "annotation", "twice", seed, **words).run(ctx) for seed in range(3)]
    assert np.mean([found["test/accuracy"] for found in scores]) < 0.4


LABELS = np.array(list("ab") * 60)
COPY_OF = np.where(np.arange(120) < 90, np.arange(120), np.arange(120) - 60)
"""The last thirty cells are copies of earlier ones."""


@pytest.mark.parametrize("fraction", [0.3, 1.0])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("draw", ["random", "batch", "fixed"])
def test_copies_are_never_on_two_sides_of_a_split(draw, seed, fraction):
    words = {"fraction": fraction, "copy_of": COPY_OF}
    batches = np.repeat(["one", "two"], 60)
    marks = np.where(np.arange(120) % 5 == 0, "test", "train")
    if draw == "random":
        split = random_split(LABELS, seed, **words)
    elif draw == "batch":
        split = leave_batch_out(LABELS, batches, seed, **words)
    else:
        split = fixed_split(LABELS, marks, seed, **words)
    parts = [set(COPY_OF[part]) for part in (split.train, split.valid, split.test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]


def test_a_split_without_copies_is_as_before():
    one, other = random_split(LABELS, 0), random_split(LABELS, 0, copy_of=np.arange(120))
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_counts_and_logs_of_the_made_cells_are_what_they_say():
    assert (counts().data == np.round(counts().data)).all()
    sums = np.expm1(logged().toarray().astype(float)).sum(axis=1)
    np.testing.assert_allclose(sums, 1e4, rtol=1e-5)
