"""L1 logistic regression on all genes: the baseline of Boiarsky et al. that had to be beaten."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainables.protocols import Card, Cells, Context, Predictions
from trainables.seeds import random_state


@dataclass(frozen=True)
class LogReg:
    """One-vs-rest, L1, liblinear; C fixed, or chosen from `Cs` by cross-validated accuracy.

    The estimator and the unshuffled stratified folds are those of the authors'
    `scGPT_baselines_LR.py`; the default `Cs` are its eight. liblinear no longer takes several
    classes itself, so one-vs-rest is spelled out: the same binary problems, the same solution.
    """

    C: float | None = None
    Cs: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3, 1e4)
    folds: int = 5

    card: ClassVar = Card(
        summary="L1 logistic regression on every gene, C by 5-fold cross-validation",
        citation="Boiarsky et al. 2024, doi:10.1038/s42256-024-00949-w",
    )

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Fit on `train` alone, predict the others; notes hold the chosen C."""
        ctx.saw("logreg fit", train.obs_names)
        x = train.X.astype(np.float64)  # liblinear's own type: convert once, not per fit
        y = train.obs["cell_type"].astype(str).to_numpy()
        seed = random_state(ctx.seed, "init")
        C = self.C if self.C is not None else self.choose(x, y)
        fitted = one_vs_rest(C, seed).fit(x, y)
        return Predictions(
            test=fitted.predict(test.X), valid=fitted.predict(valid.X), notes={"C": C}
        )

    def choose(self, x: Any, y: np.ndarray) -> float:
        """The C of the best mean accuracy over the folds; the smallest among equals.

        A class with fewer cells than folds is simply missing from some folds, as in the paper.
        """
        from sklearn.model_selection import StratifiedKFold, cross_val_score

        largest = int(np.unique(y, return_counts=True)[1].max())
        folds = StratifiedKFold(min(self.folds, largest))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")
            scores = [
                cross_val_score(one_vs_rest(C, 0), x, y, cv=folds).mean() for C in sorted(self.Cs)
            ]
        return sorted(self.Cs)[int(np.argmax(scores))]


def one_vs_rest(C: float, seed: int) -> Any:
    """The authors' estimator in today's spelling."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(
        LogisticRegression(l1_ratio=1, C=C, solver="liblinear", random_state=seed)
    )


MODEL = LogReg
