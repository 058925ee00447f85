"""How many labelled blood cells until logistic regression beats a probe on principal components?"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.spaces import grid

SWEEP = Sweep(
    title="How many labelled blood cells does each baseline need?",
    task="annotation",
    datasets=["pbmc68k_reduced"],
    fractions=[0.1, 0.25, 0.5, 1.0],
    seeds=range(5),
    models={
        "logreg": {"Cs": [0.001, 0.01, 0.1, 1]},  # the grid of Boiarsky et al. for blood cells
        "pca+probe": {"embedder.n_components": grid([10, 50])},
        "mean": {},
    },
    analysis=[
        Comparison("logreg", "pca+probe", metric="test/macro_f1", margin=0.02),
        Comparison("logreg", "mean", metric="test/macro_f1", margin=0.02),
        Comparison("pca+probe", "mean", metric="test/macro_f1", margin=0.02),
    ],
)
