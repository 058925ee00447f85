"""Figure 7: does scGPT give bins back better than an average does?

The paper's average is one number for all genes ("scgpt+average/one"); each gene's own mean
("scgpt+average") is the stronger one, and principal components are no foundation model.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import AVERAGES, FILTERS, LIBRARIES, RUNS, VALUES
from search_spaces.kedzierska2023._shared import (
    CELLS,
    CHOICE,
    DATASETS,
    FRESH,
    OWN,
    RANDOM,
    SEEDS,
    within,
)

VARIANTS = {"random": RANDOM, **{name: {"weights": name} for name in ("kidney", "blood", "human")}}
SMALL = Sweep(
    title="Does a small scGPT give bins back better than an average does?",
    task="reconstruction",
    datasets=["pbmc68k_reduced"],
    seeds=range(3),
    models={
        "scgpt/gep": {"weights": OWN},
        "scgpt/gepc": {"weights": OWN, "decoder": "gepc"},
        "scgpt/random": FRESH,
        "scgpt+average": within(FRESH),
        "scgpt+average/one": {
            "over": "all",
            **within(FRESH),
        },
        "pca_bins": {},
    },
    analysis=[
        Comparison(f"scgpt/{decoder}", other, metric="skill", margin=0.02)
        for decoder in ("gep", "gepc")
        for other in ("scgpt+average", "scgpt+average/one")
    ],
)
SWEEP = Sweep(
    title="Does scGPT give bins back better than an average does?",
    task="reconstruction",
    task_params=CELLS,
    datasets=DATASETS,
    seeds=SEEDS,
    models={
        **{
            f"scgpt/{name}_{decoder}": {**which, "decoder": decoder, **CHOICE}
            for name, which in VARIANTS.items()
            for decoder in ("gep", "gepc")
        },
        "scgpt+average": within(CHOICE),
        "scgpt+average/one": {
            "over": "all",
            **within(CHOICE),
        },
        "pca_bins": {},
    },
    analysis=[
        Comparison(f"scgpt/human_{decoder}", other, metric="skill", margin=0.02)
        for decoder in ("gep", "gepc")
        for other in ("scgpt+average", "scgpt+average/one")
    ],
    differences=[*RUNS, *FILTERS, *VALUES, *LIBRARIES, *AVERAGES],
    small=SMALL,
)
