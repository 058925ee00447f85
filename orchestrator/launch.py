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
from orchestrator.dealer import Dealer, Place, Watch
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

    Tune's trials are workers, to which a `Dealer` hands handfuls of ours by what the `costs` of
    past trials were. Raises ValueError for a trial that no machine can hold, of those that are
    there and those that may still come to the `cluster`, and CannotWrite where the storage fails.
    What runs without the GPU that it asks for is told to `note`. Where several `processes` may
    share a trial's training, they do, each in a bundle of the trial's placement group. What `judge`
    makes may end trials early (see `early`). A model whose packages cannot live with ours is given
    an environment of its own (see `environments`).
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
    dealer = Dealer(
        table, wanted, storage, code_version, watch, max_concurrent, costs, environments
    )
    places = dealer.places
    watcher = Watcher(dealer)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(dealer.most_waiting())
    # Tune's own state, which resuming never reads: the records say what is done
    with tempfile.TemporaryDirectory(
        prefix="gauntlet-tune-", ignore_cleanup_errors=True
    ) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    Worker,
                    table=[ray.put(table)],
                    storage=shown(storage.resolve()),
                    code_version=code_version,
                    time_limit=time_limit,
                    judge=None if judge is None else judge(),
                    places=places,
                ),
                # what runs in an environment of its own does so beside Tune's worker, in its place
                lambda config: tune.PlacementGroupFactory(
                    [{}] * bool(places[config["place"]].packages) + places[config["place"]].machines
                ),
            ),
            tune_config=tune.TuneConfig(search_alg=dealer, num_samples=-1, reuse_actors=True),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                callbacks=[watcher],
                failure_config=tune.FailureConfig(max_failures=0),  # the dealer tries again
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
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


class Worker(tune.Trainable):
    """A trial of Tune's: a worker that runs a handful a step, until it is handed none."""

    def setup(  # type: ignore[override]  tune.with_parameters passes what follows `config`
        self,
        config: dict[str, Any],
        table: list,
        storage: str,
        code_version: str,
        time_limit: float | None,
        judge: Any,
        places: list[Place],
    ) -> None:
        self.where = table, storage, code_version
        self.how = time_limit, judge
        self.packages = places[config["place"]].packages
        self.next: tuple[list[str], bool] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another worker of the same place, and say that this went well."""
        self.next = None
        return True

    def hand(self, ids: list[str], again: bool) -> None:
        """Take the handful for the next step."""
        self.next = ids, again

    def step(self) -> dict[str, Any]:
        """Run the handful; without one, be done."""
        if self.next is None:
            return {"trials": 0, "done": True}
        handed, self.next = self.next, None
        resources: Any = self.trial_resources
        handful = Handful(*handed, *self.where, resources.bundles, *self.how)
        if self.packages:
            handful.run_beside(self.packages)
        else:
            handful.run()
        return {"trials": len(handful.ids)}


class Watcher(tune.Callback):
    """Hands the dealer's handfuls to the workers, and tells it what became of them."""

    def __init__(self, dealer: Dealer):
        self.dealer = dealer
        self.trouble: CannotWrite | None = None
        """What a worker said of the storage: no other trial would fare better."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that we never ask for."""
        return {}

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        hand(trial, self.dealer.begin(trial.trial_id))

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        if not result.get("done"):
            hand(trial, self.dealer.go_on(trial.trial_id))

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        """Raise CannotWrite, and so end Tune, where that is what the worker met."""
        cause = cause_of(trial)
        if isinstance(cause, CannotWrite):
            self.trouble = cause
            raise cause
        lacks = isinstance(cause, Unavailable)
        died_of = str(cause) if lacks else last_line(trial)
        self.dealer.end(trial.trial_id, died_of=died_of, lacks=lacks)


def hand(trial: Any, handful: tuple[list[str], bool] | None) -> None:
    """Hand a worker of Tune's its next handful, before Tune has it take the next step.

    Calls of one actor run in their order. This one returns nothing, so that no error is left over
    where the worker has just died: its step says so.
    """
    if handful is not None:
        trial.temporary_state.ray_actor.hand.options(num_returns=0).remote(*handful)


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
