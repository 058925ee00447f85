"""Figure 8: does Geneformer give ranks back better than an average does?

Correlations of ranks in the three definitions of the authors' history: `rank_union`,
their last, `rank_all_tokens`, their first and the one that agrees with the figure's title, and
`rank_percent_rank`. The paper's average is correlated over the tokens that Geneformer invented too:
that is `average/rank_...` of Geneformer's own trials; "geneformer+average" is asked by itself.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import FILTERS, RANKS, RUNS, VALUES
from search_spaces.kedzierska2023._shared import (
    CELLS,
    DATASETS,
    GENEFORMER_FRESH,
    GENEFORMER_OWN,
    SEEDS,
    SIX_LAYERS,
    within,
)

METRICS = ("rank_union", "rank_all_tokens", "rank_percent_rank")
SMALL = Sweep(
    title="Does a small Geneformer give ranks back better than an average does?",
    task="reconstruction",
    datasets=["pbmc68k_reduced"],
    seeds=range(3),
    models={
        "geneformer": {"weights": GENEFORMER_OWN},
        "geneformer/random": GENEFORMER_FRESH,
        "geneformer+average": {"embedder.weights": GENEFORMER_OWN},
    },
    analysis=[
        Comparison("geneformer", other, metric=metric, margin=0.02)
        for metric in METRICS
        for other in ("geneformer+average", "geneformer/random")
    ],
)
SWEEP = Sweep(
    title="Does Geneformer give ranks back better than an average does?",
    task="reconstruction",
    task_params=CELLS,
    datasets=DATASETS,
    seeds=SEEDS,
    models={"geneformer": SIX_LAYERS, "geneformer+average": within(SIX_LAYERS)},
    analysis=[
        Comparison("geneformer", "geneformer+average", metric=metric, margin=0.02)
        for metric in METRICS
    ],
    differences=[*RUNS, *FILTERS, *VALUES, *RANKS],
    small=SMALL,
)
