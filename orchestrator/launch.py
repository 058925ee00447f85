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
from ray._private import worker

from orchestrator.beside import Handful
from orchestrator.bucket import OutOfReach
from orchestrator.costs import Costs
from orchestrator.dealer import Dealer, Watch
from orchestrator.environments import own
from orchestrator.files import files_of, publish, unseen
from orchestrator.machines import (
    bundles,
    machines,
    refuse_too_many,
    refuse_what_never_fits,
    together,
    without_gpu,
)
from orchestrator.ray_start import keep_token_private, own_folder, refuse_unlike, watched
from orchestrator.storage import shown
from orchestrator.trouble import CannotWrite
from trainables.protocols import Unavailable
from trainables.trial import Trial

Note = Callable[[str], None]
TOO_SLOW = ("timed out during startup", "Failed to start")
"""What Ray says when it gave up waiting for itself; it has no class for that."""


def launch(
    trials: Sequence[Trial],
    storage: Path,
    *,
    code_version: str,
    watch: Watch,
    costs: Costs,
    max_concurrent: int | None = None,
    cluster: bool = False,
    note: Note,
    time_limit: float | None = None,
    judge: Callable[[], Any] | None = None,
    processes: int = 1,
) -> None:
    """Run trials on the Ray that is connected; every one ends with a record, or Ctrl-C was hit.

    Tune's trials are handfuls of ours, which a `Dealer` makes up as workers become free, by what
    the `costs` of past trials were. Raises
    ValueError for a trial that no machine can hold, of those that are there and those that may
    still come to the `cluster`, and CannotWrite where the storage fails. What runs without the GPU
    that it asks for is told to `note`. Where several `processes` may share a trial's training, they
    do, each in a bundle of the trial's placement group. What `judge` makes may end trials early
    (see `early`). A model whose packages cannot live with ours is given an environment of its own
    (see `environments`).
    """
    table = {trial.id: trial for trial in trials}
    there, models = machines(), {trial.model for trial in trials}
    refuse_what_never_fits(models, there, cluster=cluster)
    if lacking := without_gpu(models, there):
        note(f"no machine here has a GPU; without one will run: {', '.join(lacking)}")
    kinds = {(trial.model, trial.task) for trial in trials}
    wanted = {kind: bundles(*kind, processes, there) for kind in kinds}
    refuse_too_many(wanted, there, cluster=cluster)
    environments = {model: packages for model in models if (packages := own(model))}
    publish(unseen(files_of(trials)), storage)
    dealer = Dealer(table, wanted, storage, code_version, watch, max_concurrent, costs)
    watcher = Watcher(dealer)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(dealer.most_waiting())
    # Tune's own state, which resuming never reads: the records say what is done
    with tempfile.TemporaryDirectory(
        prefix="gauntlet-tune-", ignore_cleanup_errors=True
    ) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    run_handful,
                    table=[ray.put(table)],
                    storage=shown(storage.resolve()),
                    code_version=code_version,
                    time_limit=time_limit,
                    judge=None if judge is None else judge(),
                    environments=environments,
                ),
                # what runs in an environment of its own does so beside Tune's worker, in its place
                lambda config: tune.PlacementGroupFactory(
                    [{}] * (config["model"] in environments)
                    + wanted[config["model"], config["task"]]
                ),
            ),
            tune_config=tune.TuneConfig(search_alg=dealer, num_samples=-1, reuse_actors=True),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                callbacks=[watcher],
                failure_config=tune.FailureConfig(max_failures=0),  # the dealer tries again
            ),
        )
        try:
            tuner.fit()
        except tune.TuneError:
            if watcher.trouble is not None:
                raise watcher.trouble from None
            raise


def room(
    trials: Sequence[Trial], max_concurrent: int | None, processes: int = 1
) -> tuple[Callable[[Trial], dict[str, float]], dict[str, float]]:
    """What each trial takes of the connected Ray, and what is there to take."""
    there = machines()
    kinds = {(trial.model, trial.task) for trial in trials}
    wanted = {kind: together(bundles(*kind, processes, there)) for kind in kinds}
    at_once = {"at once": float(max_concurrent)} if max_concurrent else {}
    return lambda t: wanted[t.model, t.task] | {"at once": 1.0}, ray.cluster_resources() | at_once


def run_handful(
    config: dict[str, Any],
    table: list,
    storage: str,
    code_version: str,
    time_limit: float | None,
    judge: Any,
    environments: dict[str, tuple[str, ...]],
) -> None:
    """The trainable: some trials one after the other, on a worker that stays warm for the next."""
    bundles = tune.get_context().get_trial_resources().bundles
    where = table, storage, code_version, bundles
    handful = Handful(config["trials"], config["again"], *where, time_limit, judge)
    if packages := environments.get(config["model"]):
        handful.run_beside(packages)
    else:
        handful.run()
    tune.report({"trials": len(config["trials"])})


class Watcher(tune.Callback):
    """Tells the dealer what only Tune's callbacks hear."""

    def __init__(self, dealer: Dealer):
        self.dealer = dealer
        self.trouble: CannotWrite | None = None
        """What a worker said of the storage: no other trial would fare better."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that we never ask for."""
        return {}

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        self.dealer.begin(trial.trial_id)

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        """Raise CannotWrite, and so end Tune, where that is what the worker met."""
        cause = cause_of(trial)
        if isinstance(cause, CannotWrite):
            self.trouble = cause
            raise cause
        lacks = isinstance(cause, Unavailable)
        died_of = str(cause) if lacks else last_line(trial)
        self.dealer.collect(trial.trial_id, died_of=died_of, lacks=lacks)


def cause_of(trial: Any) -> BaseException | None:
    """The error of ours that ended a trial of Tune's; None for a death of its worker."""
    if trial.pickled_error_file is None:
        return None
    error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return getattr(error, "cause", None)


def last_line(trial: Any) -> str:
    """The end of a trial's last error, where Ray says what happened.

    From the file that Tune has just written: its own `get_error` looks where it copies it later.
    """
    path = trial.error_file
    lines = Path(path).read_text().strip().splitlines() if path else []
    return lines[-1] if lines else "no message"


def start(address: str | None, folder: str | None) -> None:
    """A Ray of our own in a folder of its own, or the one at `address`."""
    for last in (False, True):
        try:
            ray.init(
                address=address or "local",  # whatever lies in /tmp, or in RAY_ADDRESS
                _temp_dir=folder,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return
        except Exception as error:
            if address or not any(words in str(error) for words in TOO_SLOW):
                raise
            if last:
                raise OutOfReach(
                    "Ray did not start within 30 s, twice: this machine is too busy or short of"
                    f" memory (load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores); end what"
                    " else runs here, then run the same again"
                ) from error
            ray.shutdown()


@contextlib.contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Ray, quietly: a local one for as long as this lasts, or the cluster at `address`.

    Raises OutOfReach where a local one does not start, which is tried twice, and ValueError for an
    address where no Ray of our versions answers.
    """
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # which handfuls "did not complete": what became of their trials, the records say
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    with contextlib.nullcontext() if address else own_folder() as folder:
        if address:
            refuse_unlike(address)
        else:
            keep_token_private()
        start(address, folder)
        try:
            with watched(None if address else worker._global_node):
                yield
        finally:
            gc.collect()  # free Ray's objects here, not in whatever thread collects next
            ray.shutdown()
