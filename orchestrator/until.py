"""Which seeds a sweep adds: those of the arms and conditions that are not decided yet."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.planning import Plan, settled, with_needs


def topped_up(planned: Plan) -> Plan | None:
    """The plan with the seeds that undecided comparisons want for their next look; None if none do.

    Both arms of a comparison are given them, on its data set and at its label share alone, so that
    they stay paired.
    """
    from analysis.conclusion import seeds_wanted

    sweep = planned.sweep
    wanted = seeds_wanted(planned.storage, sweep.name)
    seeds = sweep.stopping()["seeds"]
    every = replace(sweep, seeds=seeds).trials()
    known = {trial.id for trial in planned.trials}
    chosen = [
        trial
        for trial in every
        if trial.id in known
        or (
            trial.task == sweep.task
            and trial.seed in seeds[: wanted.get((trial.shown, trial.dataset, trial.fraction), 0)]
        )
    ]
    trials = with_needs(chosen, every)
    if len(trials) == len(known):
        return None
    return replace(planned, trials=trials, done=settled(sweep, trials, planned.storage))
