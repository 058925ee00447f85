"""Figure 6: the bins that scGPT sees and those that it gives back, on PBMC 12k.

By each gene's own output ("gep") and by the cell's embedding ("gepc"); nothing is hidden. And the
ranks that Geneformer sees and gives back.
"""

from orchestrator.sweep import Sweep
from search_spaces.kedzierska2023._differences import FILTERS, LIBRARIES, VALUES
from search_spaces.kedzierska2023._shared import (
    CELLS,
    CHOICE,
    GENEFORMER_OWN,
    OWN,
    SIX_LAYERS,
)

SMALL = Sweep(
    title="What do small foundation models make of the bins or ranks that they see?",
    task="reconstruction",
    datasets=["pbmc68k_reduced"],
    seeds=[0],
    models={
        "scgpt/gep": {"weights": OWN},
        "scgpt/gepc": {"weights": OWN, "decoder": "gepc"},
        "geneformer": {"weights": GENEFORMER_OWN},
    },
)
SWEEP = Sweep(
    title="What do foundation models make of the bins or ranks that they see?",
    task="reconstruction",
    task_params=CELLS,
    datasets=["pbmc12k"],
    seeds=[0],
    models={
        "scgpt/gep": CHOICE,
        "scgpt/gepc": {**CHOICE, "decoder": "gepc"},
        "geneformer": SIX_LAYERS,
    },
    differences=[*FILTERS, *VALUES, *LIBRARIES],
    small=SMALL,
)
