"""What every model must keep to: inherit `ModelConformance`, name the model, and pytest does it.

    from trainables.conformance import ModelConformance

    class TestCentroid(ModelConformance):
        name = "centroid"

It needs nothing but the standard library and what trainables need, so that a package with models of
its own can import it. What does not concern a model is skipped with the reason.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import numpy as np
import pandas as pd

from trainables import catalog
from trainables.asking import (
    Answers,
    answered_or_refused,
    answers,
    answers_elsewhere,
    embedded,
    fingerprint,
    marked,
    opened,
    other_process,
    parts,
    randomness,
    same,
    split,
)
from trainables.protocols import (
    CAPABILITIES,
    Annotator,
    Card,
    Context,
    Dataset,
    Embedder,
    frozen,
)
from trainables.store import Store, canonical


class ModelConformance:
    """One class a model. Every test is about what a task, or a stranger's cells, may rely on."""

    name: ClassVar[str]
    """As in a sweep, wrappers included."""
    params: ClassVar[Mapping[str, Any]] = {}
    """Hyperparameters; small ones, if the model is large."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Modules of an optional extra, without which the class is skipped."""
    tolerance: ClassVar[float] = 1e-4
    """How far coordinates may move when only rounding changes (cells in another order, or in
    double precision), as a share of the largest coordinate."""
    ordered: ClassVar[str] = ""
    """Why the order of cells matters to this model, where it does and must."""

    def dataset(self) -> Dataset:
        """The cells it is tried on; a model with a vocabulary wants genes that it knows."""
        return catalog.dataset("toy")

    # ---- what the tests are made of ---------------------------------------------------------

    def setup_method(self) -> None:
        """A model, cells and an empty store."""
        for module in self.requires:
            if find_spec(module) is None:
                raise SkipTest(f"{self.name} needs {module}, which is not installed")
        self.model = catalog.model(self.name, self.params)
        self.cells: Any = opened(self.dataset())
        self.folders: list[tempfile.TemporaryDirectory[str]] = []

    def teardown_method(self) -> None:
        """Nothing stays."""
        for folder in getattr(self, "folders", []):
            folder.cleanup()

    def context(self, **changes: Any) -> Context:
        """A context with a store in which nothing is remembered."""
        self.folders.append(tempfile.TemporaryDirectory())
        place = Path(self.folders[-1].name)
        return replace(Context(seed=0, scratch=place, store=Store(place / "store")), **changes)

    def answers(self, cells: Any = None, **changes: Any) -> Answers:
        """All that the model says of the cells, by what it was asked."""
        return answers(
            self.model, self.cells if cells is None else cells, self.context(), **changes
        )

    def usual(self) -> Answers:
        """What it says of the cells as they are: asked once a class, to compare others with."""
        if "said" not in vars(type(self)):
            type(self).said = self.answers()
        return type(self).said

    said: ClassVar[Answers]

    # ---- the tests --------------------------------------------------------------------------

    def test_it_is_a_model_with_a_card_and_a_capability(self) -> None:
        assert isinstance(self.model.card, Card), "card: ClassVar = Card(...) is missing"
        offers = [each.__name__ for each in CAPABILITIES if isinstance(self.model, each)]
        assert offers, f"{self.name} has no method that a task could ask for"
        canonical(catalog.spelled_out(self.model))  # or its trials could have no id
        assert self.model == catalog.model(self.name, self.params), "equal parameters, equal model"

    def test_every_cell_gets_an_answer(self) -> None:
        said = self.usual()
        _, valid, test = split(self.cells)
        masked = len(said.get("masked", ()))
        sizes = {"valid": len(valid), "test": len(test), "masked": masked, "guessed": masked}
        for what, answer in said.items():
            expected = sizes.get(what, self.cells.n_obs)
            assert len(answer) == expected, f"{what} has {len(answer)} rows, and not {expected}"
            if what in ("test", "valid"):
                unknown = set(answer) - set(self.cells.obs["cell_type"])
                assert not unknown, f"{what} holds labels that nobody taught: {unknown}"
                continue
            assert np.isfinite(answer).all(), f"{what} holds NaN or infinite values"
        if "embedding" in said:
            assert said["embedding"].dtype == np.float32, "an embedding is float32"
            assert said["embedding"].ndim == 2, "an embedding is cells x dimensions"

    def test_labels_of_the_cells_asked_about_change_nothing(self) -> None:
        same(self.usual(), self.answers(mislabelled=True), 0, "shuffled test labels")

    def test_a_seed_has_one_answer_here_and_in_another_process(self) -> None:
        first, again = self.usual(), self.answers()
        same(first, again, 0, "asked again")
        job = pickle.dumps(self.model), pickle.dumps(self.dataset())
        elsewhere = other_process().submit(answers_elsewhere, *job).result()
        same(first, elsewhere, self.tolerance, "pickled and asked in another process")

    def test_the_order_of_cells_is_none_of_its_business(self) -> None:
        if self.ordered:
            raise SkipTest(f"{self.name}: {self.ordered}")
        same(self.answers(backwards=True), self.usual(), self.tolerance, "cells backwards")

    def test_other_test_cells_change_nothing(self) -> None:
        if not isinstance(self.model, Annotator):
            raise SkipTest(f"{self.name} names no cell types")
        few = self.answers(test_cells=7)["test"]
        same({"test": self.usual()["test"][:7]}, {"test": few}, 0, "fewer test cells")

    def test_a_frozen_embedding_is_of_each_cell_alone(self) -> None:
        if not frozen(self.model):
            raise SkipTest(f"{self.name} does not say that its embeddings are frozen")
        seen: list[str] = []
        alone = self.context(seed=1, saw=lambda step, names: seen.append(step))
        whole, some = marked(self.cells), marked(self.cells)[::2].copy()
        del whole.obs["split"]
        embedding = np.asarray(self.model.embed(whole, self.context()))[::2]
        here = np.asarray(self.model.embed(some, alone))
        same({"embedding": embedding}, {"embedding": here}, self.tolerance, "half of the cells")
        assert not seen, f"{self.name} is frozen, and yet {seen[0]} fits on cells"

    def test_double_precision_says_the_same(self) -> None:
        wide = self.cells.copy()
        wide.X = wide.X.astype(np.float64)
        same(self.usual(), self.answers(wide), self.tolerance, "float64 expression")

    def test_a_single_cell_is_answered_or_refused_in_a_sentence(self) -> None:
        if isinstance(self.model, Annotator):
            assert len(self.answers(test_cells=1)["test"]) == 1, "one test cell has one answer"
        alone = self.cells[:1]
        answered_or_refused(lambda: embedded(self.model, alone.copy(), self.context()))

    def test_a_single_class_is_answered_or_refused_in_a_sentence(self) -> None:
        kind = self.cells.obs["cell_type"].value_counts().index[0]
        only = self.cells[(self.cells.obs["cell_type"] == kind).to_numpy()]
        said = answered_or_refused(lambda: self.answers(only.copy()))
        assert said is None or set(said.get("test", [kind])) == {kind}, "there is but one label"

    def test_few_genes_are_answered_or_refused_in_a_sentence(self) -> None:
        for n_genes in (1, 3):
            few = self.cells[:, :n_genes]
            answered_or_refused(lambda few=few: self.answers(few.copy()))

    def test_genes_of_another_species_are_answered_or_refused_in_a_sentence(self) -> None:
        foreign = self.cells.copy()
        foreign.var = pd.DataFrame(index=[f"unheard-of-{i}" for i in range(foreign.n_vars)])
        answered_or_refused(lambda: self.answers(foreign))

    def test_it_says_what_it_fits_on_and_fits_on_nothing_else(self) -> None:
        seen: dict[str, set[str]] = {}

        def saw(step: str, names: Iterable[str]) -> None:
            seen[step] = set(names)

        train, _, test = parts(self.cells)
        hear = self.context(saw=saw)
        if isinstance(self.model, Annotator):
            self.model.fit_predict(*parts(self.cells), hear)
            assert seen, f"{self.name} fitted without telling ctx.saw"
        if isinstance(self.model, Embedder):
            answered_or_refused(lambda: self.model.embed(marked(self.cells), hear))
        for step, names in seen.items():
            leaked = names & set(test.obs_names)
            assert not leaked, f"{step} saw {len(leaked)} test cells, of {train.n_obs} to fit on"

    def test_it_tells_before_it_fits(self) -> None:
        class Stop(Exception):
            pass

        told = []

        def saw(step: str, names: Iterable[str]) -> None:
            told.append(step)
            raise Stop

        try:
            answers(self.model, self.cells, self.context(saw=saw))
        except Stop:
            return
        assert not told, f"{told[0]} went on after ctx.saw had ended the trial"

    def test_input_and_global_randomness_are_left_as_they_were(self) -> None:
        before, dice = fingerprint(self.cells), randomness()
        self.answers()  # the matrices are memory-mapped and read-only: writing would raise
        assert fingerprint(self.cells) == before, f"{self.name} changed the cells it was given"
        assert randomness() == dice, f"{self.name} drew from, or seeded, global randomness"
