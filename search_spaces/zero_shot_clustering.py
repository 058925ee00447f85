"""Do cell types lie together in each baseline's embedding? Figure 2 of Kedzierska et al. 2023."""

from orchestrator.sweep import Comparison, Sweep

SWEEP = Sweep(
    title="Which embedding keeps cell types together without having seen a label?",
    task="clustering",
    datasets=["pbmc68k_reduced", "toy"],
    seeds=range(5),  # embeddings without randomness come out the same: their spread is zero
    models={
        "hvg": {},
        "pca": {},
        "random_embedding": {},
    },
    analysis=[
        Comparison("pca", "hvg", metric="avg_bio", margin=0.02),
        Comparison("pca", "random_embedding", metric="avg_bio", margin=0.02),
    ],
)
