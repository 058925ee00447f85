"""A tidy table as a sweep leaves it: three models, four label shares, seeds that share a split."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
N_CELLS = 700
SKILL = {"logreg": 0.86, "pca+probe": 0.81, "mean": 0.05}
CANDIDATES = {
    "logreg": [{"C": c} for c in (0.01, 0.1, 1.0)],
    "pca+probe": [{"C": 1.0, "embedder.n_components": 20}],
    "mean": [{}],
}
A = [0.81, 0.84, 0.79, 0.86, 0.83]
B = [0.78, 0.80, 0.80, 0.81, 0.77]
"""Scores of two models on five seeds."""


def only(rows):
    """The row of a table that has one."""
    assert len(rows) == 1
    return rows.iloc[0]


def trial(model, params, fraction, seed, **changes):
    """The columns that every row of one trial shares."""
    shared = {
        "sweep": "quickstart",
        "trial_id": f"{hash((model, params, fraction, seed)) & 0xFFFFFFFFFFFF:016x}",
        "status": "ok",
        "reason": None,
        "model": model,
        "model_version": 1,
        "model_params": params,
        "task": "annotation",
        "task_version": 1,
        "task_params": json.dumps({"fraction": fraction, "test": 0.2, "valid": 0.1}),
        "dataset": "pbmc68k_reduced",
        "dataset_sha256": "5f1c3a90b2d4e6780123456789abcdef" * 2,
        "protocol": "random 70%/10%/20%",
        "fraction": fraction,
        "seed": seed,
        "n_train": round(0.8 * N_CELLS * fraction),
        "n_eval": round(0.2 * N_CELLS),
        "n_classes": 10,
        "wall_s": 1.5 + fraction,
        "cpu_s": 1.2,
        "gpu_s": 0.0,
        "peak_rss_mb": 410.0,
        "peak_gpu_mb": 0.0,
        "code_version": "0.1.0+abc1234",
        "started_at": "2026-01-05T10:00:00Z",
        "hostname": "node",
    }
    return shared | changes


def failed(row, status, reason):
    """What a trial that did not end well leaves: one row, no metric."""
    gone = {"n_train": np.nan, "n_eval": np.nan, "metric": None, "value": np.nan}
    return row | gone | {"status": status, "reason": reason}


def sweep_table(
    seeds=5, fractions=FRACTIONS, candidates=CANDIDATES, skill=SKILL, draw=0, lost=()
) -> pd.DataFrame:
    """A few-shot sweep; `lost` names (model, fraction, seed) that ran out of memory."""
    rng = np.random.default_rng(draw)
    luck = {seed: rng.normal(0, 0.015) for seed in range(seeds)}  # a kind split is kind to all
    rows = []
    for model, grid in candidates.items():
        for rank, params in enumerate(grid):
            for fraction in fractions:
                for seed in range(seeds):
                    row = trial(model, json.dumps(params, sort_keys=True), fraction, seed)
                    if (model, fraction, seed) in lost:
                        rows.append(failed(row, "out_of_memory", "killed at 4.1 of 4.0 GiB"))
                        continue
                    level = skill[model] + 0.05 * np.log10(fraction) + 0.004 * rank
                    for part in ("test", "valid"):
                        f1 = level + luck[seed] + rng.normal(0, 0.008)
                        for name, value in (("macro_f1", f1), ("accuracy", f1 + 0.04)):
                            rows.append(row | {"metric": f"{part}/{name}", "value": value})
    return pd.DataFrame(rows)


def scores_table(a, b, *, metric="test/macro_f1", seeds_b=None, **changes) -> pd.DataFrame:
    """Two arms with exactly these scores, seed by seed, at one fraction."""
    rows = []
    for model, values, seeds in (
        ("a", a, range(len(a))),
        ("b", b, seeds_b if seeds_b is not None else range(len(b))),
    ):
        for seed, value in zip(seeds, values, strict=True):
            row = trial(model, "{}", 1.0, seed, **changes)
            rows.append(row | {"metric": metric, "value": value})
    return pd.DataFrame(rows)


def zero_shot_table(seeds=3) -> pd.DataFrame:
    """Embeddings scored without labels: no split, no fraction, nothing to choose on."""
    rng = np.random.default_rng(7)
    rows = []
    for model, level in (("hvg", 0.55), ("pca", 0.60), ("scgpt", 0.47)):
        for seed in range(seeds):
            row = trial(
                *(model, "{}", 1.0, seed),
                task="clustering", protocol="zero-shot, all cells", n_train=np.nan, n_eval=N_CELLS,
            )  # fmt: skip
            for metric in ("asw_label", "nmi", "ari", "avg_bio"):
                rows.append(row | {"metric": metric, "value": level + rng.normal(0, 0.01)})
    return pd.DataFrame(rows)


def failures_table() -> pd.DataFrame:
    """A sweep of which nothing came back."""
    return sweep_table(
        seeds=2,
        fractions=(1.0,),
        candidates={model: grid[:1] for model, grid in CANDIDATES.items()},
        lost={(model, 1.0, seed) for model in CANDIDATES for seed in range(2)},
    )


@pytest.fixture
def table() -> pd.DataFrame:
    return sweep_table()


def predicted_table(cells=200, seeds=5, luck=0.01, draw=0, share=0.2, **changes):
    """Two alike models on random splits of `cells`, and the test cells that their trials kept.

    A model names a cell rightly if the cell is easy for it; `luck` makes a seed's model better or
    worse on all of them.
    """
    rng = np.random.default_rng(draw)
    truth = np.where(rng.random(cells) < 0.6, "B", "T")
    ease = {model: rng.random(cells) for model in "ab"}
    rows, kept = [], {}
    for seed in range(seeds):
        test = np.sort(rng.choice(cells, round(share * cells), replace=False))
        for model in "ab":
            level = 0.8 + luck * rng.normal()
            wrong = np.where(truth[test] == "B", "T", "B")
            said = np.where(ease[model][test] < level, truth[test], wrong)
            name = f"{model}{seed}"
            kept[name] = pd.DataFrame(
                {"cell": test.astype(str), "truth": truth[test], "predicted": said}
            )
            row = trial(
                *(model, "{}", 1.0, seed), trial_id=name,
                n_train=cells - len(test), n_eval=len(test), **changes,
            )  # fmt: skip
            right = said == truth[test]
            of = [(truth[test] == k, said == k) for k in "BT"]
            f1 = np.mean([2 * (t & s).sum() / (t.sum() + s.sum()) for t, s in of])
            rows.append(row | {"metric": "test/accuracy", "value": right.mean()})
            rows.append(row | {"metric": "test/macro_f1", "value": f1})
    return pd.DataFrame(rows), kept.get
