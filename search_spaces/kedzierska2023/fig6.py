"""Figure 6: the bins that scGPT sees and those that it gives back, on PBMC 12k.

By each gene's own output ("gep") and by the cell's embedding ("gepc"); nothing is hidden.
"""

from orchestrator.sweep import Sweep
from search_spaces.kedzierska2023._shared import CHOICE, OWN

SMALL = Sweep(
    title="What does a small scGPT make of the bins that it sees?",
    task="reconstruction",
    datasets=["pbmc68k_reduced"],
    seeds=[0],
    models={
        "scgpt/gep": {"weights": OWN},
        "scgpt/gepc": {"weights": OWN, "decoder": "gepc"},
    },
)
SWEEP = Sweep(
    title="What does scGPT make of the bins that it sees?",
    task="reconstruction",
    datasets=["pbmc12k"],
    seeds=[0],
    models={"scgpt/gep": CHOICE, "scgpt/gepc": {**CHOICE, "decoder": "gepc"}},
    small=SMALL,
)
