"""A list of trials on Ray Tune: warm workers, retries for lost ones, one callback to watch."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

QUIET = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else `uv run` ships the folder and re-installs it
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files a trial that nobody reads
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a worker's trace: we say what matters ourselves
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU shall see none
    "RAY_TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}
for key, value in QUIET.items():
    os.environ.setdefault(key, value)  # Ray reads these when it is imported

import ray
from ray import cloudpickle, tune

from orchestrator.execute import execute, lost
from orchestrator.machines import given, machines, refuse_what_never_fits, without_gpu
from orchestrator.memory import parts_for
from orchestrator.records import Ledger, Record
from orchestrator.storage import opened, shown
from orchestrator.trouble import CannotWrite, in_words
from trainables.trial import Trial

LOST_WORKERS = 2
"""How often a trial whose worker died is started again. Errors of a trial itself are recorded at
once and never retried: they would only happen again."""

Note = Callable[[str], None]
Watch = Callable[[str, Trial, Record | None], None]
"""Told ("started" | "ended", trial, its record once it has ended)."""


def launch(
    trials: Sequence[Trial],
    storage: Path,
    *,
    code_version: str,
    watch: Watch,
    max_concurrent: int | None = None,
    cluster: bool = False,
    note: Note,
    time_limit: float | None = None,
) -> None:
    """Run trials on the Ray that is connected; every one ends with a record, or Ctrl-C was hit.

    Raises ValueError for a trial that no machine can hold, of those that are there and those that
    may still come to the `cluster`, and CannotWrite where the storage fails. What runs without the
    GPU that it asks for is told to `note`.
    """
    table = {trial.id: trial for trial in trials}
    there, models = machines(), {trial.model for trial in trials}
    refuse_what_never_fits(models, there, cluster=cluster)
    if lacking := without_gpu(models, there):
        note(f"no machine here has a GPU; without one will run: {', '.join(lacking)}")
    watcher = Watcher(table, storage, code_version, watch)
    # Tune's own state, which resuming never reads: the records say what is done
    with tempfile.TemporaryDirectory(
        prefix="gauntlet-tune-", ignore_cleanup_errors=True
    ) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    run_one,
                    table=table,
                    storage=shown(storage.resolve()),
                    code_version=code_version,
                    time_limit=time_limit,
                ),
                lambda config: tune.PlacementGroupFactory(
                    [given(table[config["trial"]].model, there)]
                ),
            ),
            param_space={"trial": tune.grid_search(list(table))},
            tune_config=tune.TuneConfig(
                reuse_actors=True, max_concurrent_trials=max_concurrent or 0
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                callbacks=[watcher],
                failure_config=tune.FailureConfig(max_failures=LOST_WORKERS),
            ),
        )
        try:
            tuner.fit()
        except tune.TuneError:
            if watcher.trouble is not None:
                raise watcher.trouble from None
            raise


def run_one(
    config: dict[str, Any], table: dict, storage: str, code_version: str, time_limit: float | None
) -> None:
    """The trainable: one trial, on a worker that stays warm for the next."""
    with in_words(Path(storage)):
        record = execute(
            table[config["trial"]],
            opened(storage),
            code_version=code_version,
            report=tune.report,
            time_limit=time_limit,
        )
    tune.report({"status": record["status"]})


class Watcher(tune.Callback):
    """Tells what Tune sees, and writes the record that a lost worker no longer could."""

    def __init__(self, table: dict[str, Trial], storage: Path, code_version: str, watch: Watch):
        self.table, self.ledger = table, Ledger(storage)
        self.code_version, self.watch = code_version, watch
        self.trouble: CannotWrite | None = None
        """What a worker said of the storage: no other trial would fare better."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that we never ask for."""
        return {}

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        self.watch("started", self.table[trial.config["trial"]], None)

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        ours = self.table[trial.config["trial"]]
        self.watch("ended", ours, self.ledger.last(ours.id))

    def on_trial_recover(self, iteration, trials, trial, **info) -> None:
        """Its worker is gone, and Tune starts it again."""
        self.stop_for_storage(trial)
        ours = self.table[trial.config["trial"]]
        reason = last_line(trial)
        if "OutOfMemory" in reason and parts_for(ours, self.ledger.last(ours.id)) == 1:
            self.ledger.commit(lost(ours, reason, self.code_version))

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        self.stop_for_storage(trial)
        if trial.num_failures <= LOST_WORKERS:
            return  # Tune starts it again
        ours = self.table[trial.config["trial"]]
        reason = f"its worker died {trial.num_failures} times: {last_line(trial)}"
        parts = parts_for(ours, self.ledger.last(ours.id))
        self.ledger.commit(lost(ours, reason, self.code_version, parts))
        self.watch("ended", ours, self.ledger.last(ours.id))

    def stop_for_storage(self, trial: Any) -> None:
        """Raise CannotWrite, and so end Tune, where that is what the worker said."""
        if trial.pickled_error_file is None:
            return
        error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
        if isinstance(cause := getattr(error, "cause", None), CannotWrite):
            self.trouble = cause
            raise cause


def last_line(trial: Any) -> str:
    """The end of a trial's last error, where Ray says what happened.

    From the file that Tune has just written: its own `get_error` looks where it copies it later.
    """
    path = trial.error_file
    lines = Path(path).read_text().strip().splitlines() if path else []
    return lines[-1] if lines else "no message"


@contextlib.contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Ray, quietly: a local one for as long as this lasts, or the cluster at `address`."""
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    ray.init(
        address=address,
        include_dashboard=None if address else False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        gc.collect()  # free Ray's objects here, not in whatever thread collects next
        ray.shutdown()
