"""To plan and to take up a sweep again costs what is left to do, not what is done."""

import json
from pathlib import Path
from unittest import mock

from orchestrator.driver import run
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Sweep
from orchestrator.tracking import Syncer
from search_spaces.spaces import grid
from trainables import catalog
from trainables.store import digest


def sweep(seeds):
    models = {"logreg": {"C": grid([0.1, 1.0])}}
    about = {"title": "t", "task": "annotation", "datasets": ["toy"], "name": "s"}
    return Sweep(models=models, seeds=range(seeds), **about)


def looked_up(seeds):
    """How often the catalog is asked for a model while a sweep is planned."""
    with mock.patch.object(catalog, "model", wraps=catalog.model) as asked:
        assert len(sweep(seeds).trials()) == 2 * seeds
    return asked.call_count


def test_seeds_are_spelled_out_once_for_all():
    assert looked_up(30) == looked_up(3) == 4  # its files are found, and it is spelled out
    for trial in sweep(3).trials():
        assert trial.id == digest(trial.spelled_out())[:16]
        assert trial.spelled_out()["seed"] == trial.seed


def test_what_is_done_and_mirrored_is_not_read_again(tmp_path, monkeypatch):
    planned = plan(sweep(20), tmp_path)
    write_manifest(tmp_path, planned.manifest())
    for trial in planned.trials:
        done = Done(metrics={"test/macro_f1": 0.5}, cost=dict.fromkeys(COSTS, 0.1))
        Ledger(tmp_path).commit(record_of(trial, done, "test"))
    opened, real = [], Path.open

    def seen(path, *words, **more):
        opened.append(path)
        return real(path, *words, **more)

    monkeypatch.setattr(Path, "open", seen)
    assert Syncer(tmp_path, "s").sync() == 40
    assert run(sweep(20), tmp_path).statuses == {"ok": 40}  # compacts them, too
    assert sum("records" in path.parts for path in opened) == 2 * 40
    opened.clear()
    ran = run(sweep(20), tmp_path)
    assert (ran.ran, ran.statuses, ran.untracked) == (0, {"ok": 40}, "")
    assert Syncer(tmp_path, "s").sync() == 0
    assert [path for path in opened if "records" in path.parts] == []


def test_what_lacked_a_package_is_taken_up_again_once_that_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path / "nowhere"))
    asked = Sweep("t", "clustering", {"geneformer": {}}, ["pbmc68k_reduced"], seeds=[0], name="s")
    with monkeypatch.context() as bare:
        for module in ("trainables.models.geneformer", "orchestrator.planning"):
            bare.setattr(f"{module}.find_spec", lambda package: None)
        assert run(asked, tmp_path).statuses == {"not_applicable": 1}
        assert plan(asked, tmp_path).to_run == []
    (trial,) = plan(asked, tmp_path).to_run
    assert "not installed" in Ledger(tmp_path).last(trial.id)["reason"]
    assert Syncer(tmp_path, "s").sync() == 0  # the run told MLflow
    assert run(asked, tmp_path).statuses == {"not_applicable": 1}
    assert "the weights 'v1-10m'" in Ledger(tmp_path).last(trial.id)["reason"]
    assert run(asked, tmp_path).statuses == {"not_applicable": 1}
    assert Ledger(tmp_path).tries_of(trial.id) == 2  # it asked again, and had nothing new to say


def test_a_manifest_has_a_line_a_trial_and_is_written_once(tmp_path):
    planned = plan(sweep(3), tmp_path)
    path = write_manifest(tmp_path, planned.manifest())
    assert write_manifest(tmp_path, plan(sweep(3), tmp_path).manifest()) == path
    lines = path.read_text().splitlines()
    assert sum(line.startswith(f'"{trial.id}"') for line in lines for trial in planned.trials) == 6
    assert list(json.loads(path.read_text())["trials"]) == [t.id for t in planned.trials]
