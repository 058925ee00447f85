"""Do batches mix in each baseline's embedding? Figures 4 and 5 of Kedzierska et al. 2023.

pbmc68k_reduced has one batch; give your own cells with --data and --batch-key. scVI joins in where
its extra is installed (uv sync --extra scvi).
"""

from importlib.util import find_spec

from orchestrator.sweep import Comparison, Sweep

SCVI = ["scvi+cached"] if find_spec("scvi") else []

SWEEP = Sweep(
    title="Which embedding mixes batches, and keeps cell types apart?",
    task="integration",
    task_params={"umap": True},
    datasets=["toy"],
    seeds=range(5),
    models={
        "hvg": {},
        "pca": {},
        "harmony+cached": {},
        **{arm: {} for arm in SCVI},
        "batches_apart": {},
        "perfect_mixing": {},
    },
    analysis=[
        Comparison("pca", "hvg", metric="asw_label_batch", margin=0.02),
        Comparison("harmony+cached", "pca", metric="asw_label_batch", margin=0.02),
        Comparison("harmony+cached", "hvg", metric="asw_label_batch", margin=0.02),
        *(Comparison(arm, "pca", metric="asw_label_batch", margin=0.02) for arm in SCVI),
    ],
)
