"""Seeded schedules of faults against a sweep: nothing is lost, nothing is there twice.

Processes are killed, and files of the storage are damaged. After the driver's death the storage is
moved, the next driver's clock is wrong, and RAY_ADDRESS leads to nobody. GAUNTLET_CHAOS=20 makes it
twenty schedules of three hundred trials, with more kills in each, as a nightly run does; else there
are three, each with a fault of every kind, small enough for every run.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis import results
from orchestrator.execute import execute
from orchestrator.known_sweeps import find_sweep
from orchestrator.records import Ledger
from tests.chaos.conftest import TABLE
from tests.chaos.machines import Postgres, alive, killed, until
from trainables import catalog

NIGHTLY = int(os.environ.get("GAUNTLET_CHAOS", "0"))
SCHEDULES, SEEDS, MORE = (NIGHTLY, 100, 4) if NIGHTLY else (3, 40, 0)
DRAWS = 3
TRIALS = SEEDS * DRAWS
KINDS = ("worker", "raylet", "driver", "mlflow", "postgres")
FILES = ("record", "lease", "artifact", "manifest")
DAY = 86_400
RERUNS = 3
"""How often the same command may be needed again after the schedule is over."""


def schedule(seed):
    """What happens after how many records: faults of every kind, and when servers come back."""
    draws = random.Random(seed)
    kinds = [kind for kind in KINDS if kind != "postgres" or not Postgres.absent()]
    kills = [*kinds, *draws.choices(kinds, k=MORE)]
    draws.shuffle(kills)
    faults = [f"kill {kill}" for kill in kills] + [f"damage {file}" for file in FILES]
    draws.shuffle(faults)
    moments = sorted(draws.sample(range(5, TRIALS - 20), len(faults)))
    events = list(zip(moments, faults, strict=True))
    for moment, event in list(events):
        what = event.removeprefix("kill ")
        if what in ("mlflow", "postgres"):
            events.append((moment + draws.randrange(5, TRIALS // 2), f"start {what}"))
    return sorted(events)


class Sweep:
    """One sweep on the cluster, with all that may be killed around it."""

    def __init__(self, name, place, nodes, postgres, tracking, environment):
        self.nodes, self.postgres, self.tracking = nodes, postgres, tracking
        self.storage, self.marks = place / "runs", Path(environment["CHAOS_MARKS"])
        self.environment = {**os.environ, **environment}
        self.file = sweep_file(place, name)
        self.kills, self.damaged = Counter(), False
        self.said = place / "stderr.txt"
        for mark in self.marks.iterdir():
            mark.unlink()
        self.driver = None

    def start(self):
        command = [Path(sys.executable).with_name("gauntlet"), "run", self.file, "--json"]
        where = ["--storage", self.storage, "--address", self.nodes.address]
        self.damaged = False
        with self.said.open("a") as said:
            self.driver = subprocess.Popen(
                [*map(str, command), *map(str, where), "--tracking-uri", self.tracking.uri],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def records(self):
        return list(self.storage.glob("records/??/[!.]*.json"))

    def over(self):
        return self.driver.poll() is not None

    def reach(self, moment):
        """Wait for so many records; whether there is still something to disturb."""
        until(lambda: self.over() or len(self.records()) >= moment, what=f"record {moment}")
        return not self.over()

    def happen(self, event, draws):
        """Do one thing of the schedule."""
        what, which = event.split()
        if what == "start":
            return self.mend(which)
        if what == "damage":
            self.damage(which, draws)
        elif not getattr(self, f"kill_{which}")(draws):
            return None
        self.kills[which] += 1
        return None

    def kill_worker(self, draws):
        """The process of a trial that is being run."""

        def found():
            pids = {int(mark.name.split(".")[1]) for mark in self.marks.iterdir()}
            return self.over() or sorted(pid for pid in pids if alive(pid))

        pids = until(found, what="a worker")
        return pids is not True and killed(draws.choice(pids))

    def kill_raylet(self, draws):
        raylet = draws.choice(self.nodes.raylets)
        killed(raylet)
        self.nodes.replace(raylet)
        return True

    def kill_driver(self, draws):
        """After which the storage is moved, the clock is wrong and RAY_ADDRESS leads to nobody."""
        self.driver.kill()
        self.driver.communicate()
        self.storage = self.storage.rename(self.storage.with_name(f"runs{self.kills['driver']}"))
        off = draws.choice([DAY, -DAY, 90, -90])
        self.environment |= {"CLOCK_OFF": str(off), "RAY_ADDRESS": "127.0.0.1:9"}
        self.start()
        return True

    def damage(self, which, draws):
        """Put half of a file of the storage, or garbage, in its place."""
        patterns = {
            "record": "records/??/*.json",
            "lease": "leases/*.1",
            "artifact": "store/??/*/*.npy",
            "manifest": "sweeps/*/*.json",
        }
        path = draws.choice(sorted(self.storage.glob(patterns[which])))
        whole = path.read_bytes()
        draft = path.with_name(".draft")
        draft.write_bytes(b"\xff\x00" if which == "lease" else whole[: len(whole) // 2])
        draft.replace(path)
        self.damaged = True

    def kill_mlflow(self, draws):
        self.tracking.kill()
        return True

    def kill_postgres(self, draws):
        if self.postgres.process.poll() is None:
            self.postgres.kill()
            return True
        return False

    def mend(self, which):
        """Have a server back, without waiting for it."""
        if which == "postgres":
            self.postgres.start()
        else:
            self.tracking.start(wait=False)

    def finish(self):
        """The driver's end; the same command again until all is well; how often that took."""
        for again in range(RERUNS + 1):
            told = self.driver.communicate(timeout=900)[0]
            whole = self.driver.returncode == 0 and not self.damaged
            if whole and json.loads(told)["statuses"] == {"ok": TRIALS}:
                return again
            self.start()
        raise AssertionError(f"not whole after {RERUNS} more runs: {told}")


def sweep_file(place, name):
    """The sweep, under a name of its own."""
    path = place / f"{name}.py"
    path.write_text(
        "from orchestrator import Sweep\n"
        "from search_spaces.spaces import grid\n"
        f"TINY = {{'draw': grid(range({DRAWS}))}}\n"
        'SWEEP = Sweep(title="chaos", task="annotation", datasets=["toy"],\n'
        f'              models={{"tiny": TINY}}, seeds=range({SEEDS}))\n'
    )
    return path


@pytest.fixture(scope="module")
def undisturbed(chaotic, tmp_path_factory):
    """The metrics of every trial, run one after another in this process."""
    place = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as here:
        here.syspath_prepend(chaotic["PYTHONPATH"])
        catalog.plugins.cache_clear()
        trials = find_sweep(str(sweep_file(place, "undisturbed"))).trials()
        found = {t.id: execute(t, place, code_version="undisturbed")["metrics"] for t in trials}
    catalog.plugins.cache_clear()
    sys.modules.pop("chaos_models", None)
    assert len({json.dumps(metrics) for metrics in found.values()}) > TRIALS / 2
    return found


@pytest.fixture
def world(nodes, postgres, tracking, chaotic, tmp_path):
    """What a sweep runs in, whole again at the end."""
    yield SimpleNamespace(
        nodes=nodes, postgres=postgres, tracking=tracking, environment=chaotic, place=tmp_path
    )
    if postgres is not None:
        postgres.start()
    tracking.start()


@pytest.mark.timeout(7200 if NIGHTLY else 1800)
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_nothing_is_lost_and_nothing_is_there_twice(seed, world, undisturbed, gauntlet):
    name = f"chaos{seed}"
    sweep = Sweep(name, world.place, world.nodes, world.postgres, world.tracking, world.environment)
    sweep.start()
    draws = random.Random(f"victims of {seed}")
    for moment, event in schedule(seed):
        if sweep.reach(moment):
            sweep.happen(event, draws)
    reruns = sweep.finish()
    if world.postgres is not None:
        world.postgres.start()
    world.tracking.start()
    words = ("sync", name, "--storage", sweep.storage, "--tracking-uri", world.tracking.uri)
    gauntlet(*words, **world.environment)

    standing = {path.stem: path for path in sweep.records() if "." not in path.stem}
    executions = Counter(mark.name.partition(".")[0] for mark in sweep.marks.iterdir())
    shown = mirrored_runs(world.tracking.uri, name)
    TABLE.append(
        {
            "schedule": seed,
            "trials": TRIALS,
            **{kind: sweep.kills[kind] for kind in (*KINDS, *FILES)},
            "run again": executions.total() - TRIALS,
            "commands": 1 + sweep.kills["driver"] + reruns,
            "lost": len(set(undisturbed) - set(standing)) + len(set(undisturbed) - set(shown)),
            "duplicated": sum(n - 1 for n in shown.values()),
            "unclear": sweep.said.read_text().count("Traceback"),
        }
    )
    assert TABLE[-1]["unclear"] == 0, sweep.said.read_text()
    assert set(standing) == set(undisturbed) == set(executions)
    records = Ledger(sweep.storage).current(undisturbed)
    assert {r["trial_id"]: r["metrics"] for r in records} == undisturbed
    assert {r["status"] for r in records} == {"ok"}
    assert shown == dict.fromkeys(undisturbed, 1)
    assert table(name, sweep.storage) == table(name, None, world.tracking.uri)


def mirrored_runs(uri, sweep):
    """How many runs MLflow has of each trial."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(sweep).experiment_id
    runs = client.search_runs([experiment], max_results=5000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    return Counter(run.data.tags["trial_id"] for run in runs)


def table(sweep, storage, uri=None):
    """The tidy table, from the records or from MLflow."""
    source = {"source": "mlflow", "tracking_uri": uri} if uri else {}
    found = results(sweep, storage, **source) if storage else results(sweep, **source)
    return sorted(zip(found.trial_id, found.metric, found.value, found.status, strict=True))
