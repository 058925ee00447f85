"""Do cell types lie together in each baseline's embedding? Figure 2 of Kedzierska et al. 2023.

scVI joins in where its extra is installed (uv sync --extra scvi). Remembered embeddings serve
`zero_shot_integration` on the same cells too.
"""

from importlib.util import find_spec

from orchestrator.sweep import Comparison, Sweep

SCVI = ["scvi+cached"] if find_spec("scvi") else []

SWEEP = Sweep(
    title="Which embedding keeps cell types together without having seen a label?",
    task="clustering",
    task_params={"umap": True},
    datasets=["pbmc68k_reduced", "toy"],
    seeds=range(5),  # embeddings without randomness come out the same: their spread is zero
    models={
        "hvg": {},
        "pca": {},
        "harmony+cached": {},
        **{arm: {} for arm in SCVI},
        "random_embedding": {},
        "perfect_labels": {},
    },
    analysis=[
        Comparison("pca", "hvg", metric="avg_bio", margin=0.02),
        Comparison("pca", "harmony+cached", metric="avg_bio", margin=0.02),
        Comparison("pca", "random_embedding", metric="avg_bio", margin=0.02),
        *(Comparison("pca", arm, metric="avg_bio", margin=0.02) for arm in SCVI),
    ],
)
