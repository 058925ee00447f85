"""scBERT so small that it trains in seconds, on blood cells."""

from dataclasses import replace

from trainables.trial import Trial

CELLS = "pbmc68k_reduced"
TINY = {"dim": 12, "depth": 2, "heads": 2, "dim_head": 8, "ff_mult": 1, "rescale": False}
QUICK = {"lr": 1e-2, "min_lr": 3e-3, "warmup": 1, "cycle": 9, "epochs": 2, "batch": 32, **TINY}
PRETRAINING = {"weights": "none", "positions": "coexpression", "n_genes": 100, **QUICK}


def run(ctx, task="annotation", seed=0, model="scbert", task_params=None, **params):
    """A trial, and all that it told."""
    trial = Trial(model, task, CELLS, seed, model_params=params, task_params=task_params or {})
    told, saw = [], {}
    scratch = ctx.scratch / trial.id
    scratch.mkdir(exist_ok=True)
    own = replace(
        ctx,
        scratch=scratch,
        trial=trial.id,
        report=told.append,
        saw=lambda step, names: saw.update({step: list(names)}),
    )
    return trial.run(own), told, saw, trial
