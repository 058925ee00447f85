"""Do batches mix in each baseline's embedding? Figure 5 of Kedzierska et al. 2023.

pbmc68k_reduced has one batch; give your own cells with --data and --batch-key.
"""

from orchestrator.sweep import Comparison, Sweep

SWEEP = Sweep(
    title="Which embedding mixes batches, and keeps cell types apart?",
    task="integration",
    datasets=["toy"],
    seeds=range(5),
    models={
        "hvg": {},
        "pca": {},
        "random_embedding": {},
    },
    analysis=[
        Comparison("pca", "hvg", metric="asw_label_batch", margin=0.02),
        Comparison("pca", "random_embedding", metric="asw_label_batch", margin=0.02),
    ],
)
