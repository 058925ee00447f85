"""Published weights and checkouts reach the trials, wherever their workers were started."""

import contextlib
import json
import os
import pickle
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import results
from orchestrator import launch
from orchestrator.driver import retry
from orchestrator.execute import Done, execute, record_of
from orchestrator.files import files_of, publish
from orchestrator.manifests import write_manifest
from orchestrator.planning import known_costs, plan
from orchestrator.records import Ledger
from orchestrator.sweep import Sweep
from tests.trainables import stub_checkouts, tiny_weights
from trainables.catalog import dataset
from trainables.cells import open_cells, prepare
from trainables.protocols import Unavailable
from trainables.store import Store

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("isolated_worker.py")
CELLS = "pbmc68k_reduced"
SWEEPS = {
    "annotate": """
        title="types", task="annotation", models={
            "scbert": {**SCBERT, "rescale": False, "epochs": 1},
            "scgpt": {"epochs": 1, "max_length": 100},
            "geneformer": {"epochs": 1},
            "scimilarity+probe": {"embedder.least_genes": 10},
            "scfoundation+probe": {},
            "genecompass+probe": {},
        }""",
    "cluster": """
        title="clusters", task="clustering", models={
            "scbert": {**SCBERT, "rescale": False},
            "scgpt": {"n_hvg": 60}, "geneformer": {}, "scimilarity": {"least_genes": 10},
            "scfoundation": {}, "genecompass": {},
        }""",
    "rebuild": """
        title="values", task="reconstruction", models={"scgpt": {"n_hvg": 60}, "geneformer": {}}""",
}


@pytest.fixture(scope="module")
def genes(tmp_path_factory):
    """Symbols that the cells have, in an order of their own."""
    place = tmp_path_factory.mktemp("cells")
    return list(open_cells(prepare(dataset(CELLS), Store(place))).var_names[::-1][:400])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, genes):
    """An empty folder, after `models fetch` of every foundation model was typed in it."""
    place = tmp_path_factory.mktemp("user")
    saved = tmp_path_factory.mktemp("browser")
    stub_checkouts.interpreter(place / "env")
    for make in tiny_weights.ALL:
        files = make(saved / make.__name__, genes)
        words = [word for file in files for word in ("--from", file)]
        fetched = typed(place, "models", "fetch", make.__name__, *words)
        assert "complete" in fetched.stdout
        assert "every key is accounted for" in typed(place, "models", "check", make.__name__).stdout
    for name in ("scfoundation", "genecompass"):
        shutil.copytree(saved / name / "checkout", place / name)
    for name, words in SWEEPS.items():
        (place / f"{name}.py").write_text(
            "from orchestrator import Sweep\n"
            f"SCBERT = {tiny_weights.SCBERT}\n"
            f'SWEEP = Sweep({words}, datasets=["{CELLS}"], seeds=[0])\n'
        )
    return place


def environment(place, **more):
    """Variables of a user's shell, and no others."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(place),
        "COLUMNS": "200",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        # the two checkouts, as README's page on them says
        "GAUNTLET_SCFOUNDATION": "scfoundation",
        "GAUNTLET_SCFOUNDATION_PYTHON": "env/bin/python",
        "GAUNTLET_GENECOMPASS": "genecompass",
        "GAUNTLET_GENECOMPASS_PYTHON": "env/bin/python",
        **more,
    }


def typed(place, *words, expect=0, **more):
    """A command as its reader types it in a folder."""
    done = subprocess.run(
        [Path(sys.executable).with_name("gauntlet"), *map(str, words)],
        cwd=place,
        env=environment(place, **more),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.parametrize("name", SWEEPS)
def test_fetched_weights_and_checkouts_score_in_the_folder_where_one_typed(folder, name):
    planned = json.loads(typed(folder, "plan", f"{name}.py", "--json").stdout)
    ran = json.loads(typed(folder, "run", f"{name}.py", "--json").stdout)
    assert ran["statuses"] == {"ok": planned["trials"]}
    assert ran["unscored"] == []
    table = results(name, folder / "gauntlet-runs")
    assert set(table["model"]) == set(planned["models"])
    assert table["value"].notna().all()
    again = json.loads(typed(folder, "run", f"{name}.py", "--json").stdout)
    assert again["ran"] == 0


# ---- workers elsewhere -------------------------------------------------------------------------


@pytest.fixture
def other_ray(tmp_path):
    """A Ray that was started in another folder, by a shell without any of the user's variables."""
    place = Path(tempfile.mkdtemp(prefix="ray"))  # short: Ray makes sockets in it
    bare = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(place),
        "RAY_AUTH_MODE": "disabled",
    }
    words = ["--head", "--block", "--port=0", f"--temp-dir={place}", "--num-cpus=2"]
    words += ["--num-gpus=0", "--include-dashboard=false", "--disable-usage-stats"]
    words += ["--object-store-memory=100000000", "--dashboard-agent-listen-port=0"]
    words += ["--min-worker-port=0", "--max-worker-port=0"]
    head = subprocess.Popen(
        [Path(sys.executable).with_name("ray"), "start", *words],
        cwd=place,
        env=bare,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        marked = place / "ray_current_cluster"
        while head.poll() is None and not marked.exists():
            time.sleep(0.2)
        yield marked.read_text().strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGTERM)  # the group that this test started
        head.wait(600)
        shutil.rmtree(place, ignore_errors=True)


def test_workers_of_another_ray_get_them_too(folder, other_ray):
    words = ["--address", other_ray, "--storage", folder / "elsewhere", "--json"]
    ran = typed(folder, "run", "cluster.py", *words, RAY_AUTH_MODE="disabled")
    assert json.loads(ran.stdout)["statuses"] == {"ok": 6}


def scored(place, monkeypatch, **models):
    """A plan of clustering with some models, as typed in a folder."""
    monkeypatch.chdir(place)
    for name, value in environment(place).items():
        if name.startswith("GAUNTLET_"):  # of the rest, Ray's token in HOME is this process's
            monkeypatch.setenv(name, value)
    sweep = Sweep("t", "clustering", models, [CELLS], seeds=[0], name="s")
    return plan(sweep, place / "plans")


def test_what_a_worker_reads_is_what_the_driver_found(folder, monkeypatch, tmp_path):
    """A worker in an empty folder, with a clean environment, and every look at either noted."""
    planned = scored(
        folder,
        monkeypatch,
        scbert={**tiny_weights.SCBERT, "rescale": False},
        scgpt={"n_hvg": 60},
        geneformer={},
        scimilarity={"least_genes": 10},
        scfoundation={},
        genecompass={},
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "trials.pkl").write_bytes(pickle.dumps(planned.trials))
    done = subprocess.run(
        [sys.executable, WORKER, tmp_path / "trials.pkl", tmp_path / "runs"],
        cwd=tmp_path / "empty",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["statuses"] == ["ok"] * 6
    assert told["looks"] == []


def test_a_worker_that_looks_round_is_noted(tmp_path):
    """The note-taking of the test above can fail."""
    code = (
        "from tests.orchestrator.isolated_worker import noted\n"
        "from trainables.networks import weights\n"
        "with noted() as looks:\n    weights.home()\n"
        "print(sorted(looks))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "GAUNTLET_WEIGHTS" in told.stdout
    assert "working directory" in told.stdout


def test_a_machine_without_the_folder_takes_the_copy_in_the_storage(folder, monkeypatch, tmp_path):
    (trial,) = scored(folder, monkeypatch, scimilarity={"least_genes": 10}).trials
    hidden = hide(trial, tmp_path)
    with pytest.raises(Unavailable, match="nowhere is not there"):
        execute(hidden, tmp_path, code_version="test")
    assert Ledger(tmp_path).last(trial.id) is None, "a machine's fault is not the trial's"
    publish(files_of([trial]), tmp_path)
    assert execute(hidden, tmp_path, code_version="test")["status"] == "ok"
    # other bytes at the same place are as good as none
    other = tmp_path / "nowhere"
    shutil.copytree(Path(trial.external["weights"].root), other)
    (other / "gene_order.tsv").write_text("other genes")
    assert "another content" in hidden.external["weights"].problem()


def hide(trial, place):
    """The trial as a machine knows it on which the driver's folder does not exist."""
    files = {
        name: replace(file, root=str(place / "nowhere")) for name, file in trial.external.items()
    }
    return replace(trial, external=files)


def test_a_file_that_machines_lack_is_a_fault_of_theirs(folder, monkeypatch, tmp_path):
    (trial,) = scored(folder, monkeypatch, scimilarity={"least_genes": 10}).trials
    prepare(dataset(CELLS), Store(tmp_path / "store"))
    with launch.connected():
        watch = lambda what, trial, record: None  # noqa: E731
        costs = known_costs(tmp_path, 1)
        how = {"code_version": "test", "watch": watch, "costs": costs, "note": print}
        launch.launch([hide(trial, tmp_path)], tmp_path, **how)
    record = Ledger(tmp_path).last(trial.id)
    assert record["status"] == "failed"
    assert f"on the machine {platform.node()}" in record["reason"]
    assert f"{tmp_path}/nowhere" in record["reason"]
    assert "(3 times)" in record["reason"]


# ---- what was settled wrongly, what is missing, what moves ---------------------------------


def test_a_storage_that_workers_poisoned_is_healed_by_the_same_command(folder, tmp_path):
    (folder / "relative.py").write_text(
        "from orchestrator import Sweep\n"
        'SWEEP = Sweep(title="t", task="clustering", seeds=[0, 1], datasets=["toy"],\n'
        '    models={"scimilarity": {"least_genes": 0, "weights": "./mine"}})\n'
    )
    tiny_weights.scimilarity(folder / "mine", [f"GENE{i}" for i in range(50)])
    words = ["relative.py", "--storage", tmp_path / "runs", "--json"]
    planned = plan_in(folder, "relative.py", tmp_path / "runs")
    assert planned.trials[0].model_params["weights"] == str(folder / "mine")
    for trial in planned.trials:
        done = Done("not_applicable", "the weights are not in /tmp/ray/gauntlet-weights")
        record = record_of(trial, done, "0.1.0")
        del record["external"]  # as it was written then
        assert Ledger(tmp_path / "runs").commit(record)
    ran = json.loads(typed(folder, "run", *words).stdout)
    assert (ran["ran"], ran["statuses"]) == (2, {"ok": 2})
    for trial in planned.trials:
        [old] = Ledger(tmp_path / "runs").attempts(trial.id)
        assert json.loads(old.read_text())["status"] == "not_applicable"
    assert json.loads(typed(folder, "run", *words).stdout)["ran"] == 0


def plan_in(place, sweep, storage):
    """A plan as it is made in a folder."""
    with contextlib.chdir(place):
        return plan(sweep, storage)


def test_a_model_without_any_score_is_the_first_line_and_the_exit_code(tmp_path):
    (tmp_path / "absent.py").write_text(
        "from orchestrator import Sweep\n"
        'SWEEP = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0, 1],\n'
        '    models={"scgpt": {}})\n'
    )
    done = typed(tmp_path, "run", "absent.py", expect=1)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    first = next(i for i, line in enumerate(lines) if "no score for scgpt (2 trials)" in line)
    assert "gauntlet models fetch scgpt --variant human" in lines[first]
    assert not any("minus" in line or "trials run" in line for line in lines[:first])
    page = (tmp_path / "gauntlet-runs/reports/absent.html").read_text()
    body = page[page.index("</header>") :]
    assert body.index("No score for scgpt") < body.index('<ul class="verdicts">')
    told = json.loads(typed(tmp_path, "run", "absent.py", "--json", expect=1).stdout)
    assert told["unscored"][0]["model"] == "scgpt"
    assert len(list((tmp_path / "gauntlet-runs/records").rglob("*.json"))) == 2, "said once each"


def test_a_folder_that_moves_is_the_same_weights(folder, monkeypatch, tmp_path):
    before = scored(folder, monkeypatch, scimilarity={"least_genes": 10})
    shutil.copytree(folder / "gauntlet-weights/scimilarity/v1.1", tmp_path / "moved")
    after = scored(
        folder, monkeypatch, scimilarity={"least_genes": 10, "weights": str(tmp_path / "moved")}
    )
    assert [t.id for t in after.trials] == [t.id for t in before.trials]
    assert after.trials[0].build().weights == str(tmp_path / "moved")


def test_what_is_retried_must_still_be_what_was_planned(folder, tmp_path):
    tiny_weights.scimilarity(tmp_path / "mine", [f"GENE{i}" for i in range(50)])
    settings = {"least_genes": 0, "weights": str(tmp_path / "mine")}
    sweep = Sweep("t", "clustering", {"scimilarity": settings}, ["toy"], seeds=[0], name="s")
    planned = plan(sweep, tmp_path)
    write_manifest(tmp_path, planned.manifest())
    Ledger(tmp_path).commit(record_of(planned.trials[0], Done("failed", "why"), "test"))
    (tmp_path / "mine/gene_order.tsv").write_text("other genes")
    with pytest.raises(LookupError, match="planned with other files"):
        retry("s", tmp_path)


def test_what_a_cluster_cannot_see_is_not_submitted(tmp_path, gauntlet):
    path = tmp_path / "mine.py"
    path.write_text(
        "from orchestrator import Sweep\n"
        'SWEEP = Sweep(title="t", task="clustering", datasets=["toy"], seeds=[0],\n'
        '    models={"scimilarity": {"weights": "./mine"}})\n'
    )
    there = ("--address", "http://127.0.0.1:1")
    said = gauntlet("submit", path, *there, expect=2).stderr
    assert "the cluster cannot see ./mine" in said
    words = ("scimilarity.weights=folder/weights", *there)
    assert "folder/weights" in gauntlet("submit", path, *words, expect=2).stderr
