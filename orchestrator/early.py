"""Settings that are stopped early because others are ahead, by Ray Tune's ASHA on valid scores.

What competes is the settings of one arm on one data set at one label share, and nothing else: arms
that are compared never stop each other. The trial of a setting's first seed is judged as it reports
its epochs; once it is stopped, the trials of its other seeds are, too, those that have not begun
before they begin. So what is left has all seeds, and seeds stay paired.

A trial that was stopped ends as `pruned`: it has no score to report or to test, and its cost
counts. Which settings are stopped depends on who comes first, so on several workers it may differ
from run to run; the records say what happened. After a kill, ASHA is told the records again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from orchestrator.records import Ledger, Record
from orchestrator.rows import told
from orchestrator.sweep import Sweep
from trainables.catalog import unknown
from trainables.protocols import Metrics
from trainables.store import canonical

if TYPE_CHECKING:
    from trainables.trial import Trial

GRACE, FACTOR, ENDLESS = 1, 4, 10**6
"""ASHA's own defaults: a setting is looked at after 1, 4, 16, ... epochs, and a quarter goes on."""
STOPPERS = ("asha",)


class Pruned(Exception):
    """This trial's setting is behind others."""


@dataclass(frozen=True)
class Entrant:
    """A trial, as one that competes."""

    study: str
    setting: str
    leads: bool
    """Whether its epochs are those that its setting is judged by."""


def rule(sweep: Sweep) -> dict[str, Any]:
    """How a sweep stops trials, as it is hashed with the comparisons.

    Raises LookupError for a stopper that nobody knows, and ValueError where the task has no
    validation score.
    """
    from orchestrator.adaptive import score_of

    if sweep.stopper not in STOPPERS:
        raise LookupError(unknown("stopper", sweep.stopper, list(STOPPERS)))
    by = {"metric": score_of(sweep), "grace": GRACE, "factor": FACTOR}
    return {"stopper": sweep.stopper, **by}


def entrants(task: str, trials: Sequence[Trial]) -> dict[str, Entrant]:
    """The trials of a sweep with that task that compete, by id; weights that it makes first do
    not."""
    specs = {trial.id: trial.spec() for trial in trials}
    found: dict[str, Entrant] = {}
    led: set[tuple[str, str]] = set()
    for trial in trials:
        if trial.task == task:
            study = canonical([trial.shown, trial.dataset, trial.fraction])
            setting = canonical(told(trial.model_params, specs))
            found[trial.id] = Entrant(study, setting, (study, setting) not in led)
            led.add((study, setting))
    return found


class Judge:
    """Hears of every epoch, and says which trials are to end."""

    def __init__(
        self,
        metric: str,
        entrants: Mapping[str, Entrant],
        past: Sequence[Record],
        mode: str = "max",
    ):
        """`past`: records of trials that ended before, the earliest first. `mode`: "max" where
        higher scores of `metric` are better, else "min"."""
        self.metric, self.entrants, self.mode = metric, entrants, mode
        self.schedulers: dict[str, Any] = {}
        self.stopped: dict[tuple[str, str], str] = {}
        self.entered: set[tuple[str, str]] = set()
        for record in past:
            one = entrants.get(record["trial_id"])
            if one is not None and one.leads and record["status"] in ("ok", "pruned"):
                for metrics in record["history"]:
                    self.judged(one, metrics)
                if record["status"] == "pruned":
                    self.stopped[one.study, one.setting] = record["reason"]

    def hear(self, trial_id: str, metrics: Metrics) -> str:
        """Why the trial is to end now, or "". Without metrics it has not begun."""
        one = self.entrants.get(trial_id)
        if one is None:
            return ""
        key = one.study, one.setting
        if one.leads and key not in self.stopped and self.judged(one, metrics):
            self.stopped[key] = f"behind other settings after epoch {metrics['epoch']:g} (ASHA)"
        return self.stopped.get(key, "")

    def judged(self, one: Entrant, metrics: Metrics) -> bool:
        """Whether ASHA would stop a setting here."""
        from ray.tune.schedulers import ASHAScheduler

        setting: Any = SimpleNamespace(trial_id=one.setting)
        if one.study not in self.schedulers:
            self.schedulers[one.study] = ASHAScheduler(
                *("epoch", self.metric, self.mode, ENDLESS, GRACE, FACTOR), stop_last_trials=False
            )
        scheduler = self.schedulers[one.study]
        controller: Any = None  # which ASHA does not look at
        if (one.study, one.setting) not in self.entered:
            self.entered.add((one.study, one.setting))
            scheduler.on_trial_add(controller, setting)
        return scheduler.on_trial_result(controller, setting, metrics) == scheduler.STOP


def judge(
    manifest: Mapping[str, Any], trials: Sequence[Trial], storage: Path
) -> Callable[[], Any] | None:
    """What makes the judge of a sweep, as an actor of the Ray that is connected; None: no judge."""
    if "stopper" not in manifest:
        return None
    competing = entrants(manifest["task"], trials)

    def make() -> Any:
        import ray

        from orchestrator.adaptive import mode_of

        records = Ledger(storage).current(competing)
        past = sorted(records, key=lambda record: record["ended_at"])
        actor: Any = ray.remote(num_cpus=0)(Judge)
        metric = manifest["stopper"]["metric"]
        return actor.remote(metric, competing, past, mode_of(manifest["task"], metric))

    return make


def listener(judge: Any, trial_id: str) -> Callable[[Metrics], None]:
    """What a trial reports its epochs to; raises Pruned when it is to end.

    A judge that is lost with its machine judges no more, and costs no trial.
    """

    def report(metrics: Metrics) -> None:
        import ray
        from ray.exceptions import RayActorError

        try:
            why = ray.get(judge.hear.remote(trial_id, metrics))
        except RayActorError:
            return
        if why:
            raise Pruned(why)

    return (lambda metrics: None) if judge is None else report
