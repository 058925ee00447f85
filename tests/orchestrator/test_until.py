"""Seeds are added where a comparison is undecided, and nowhere else."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from analysis import results
from orchestrator.cli import app
from orchestrator.driver import run
from orchestrator.execute import execute
from orchestrator.planning import plan
from orchestrator.sweep import Comparison, Sweep

SWEEP = """
from orchestrator import Sweep
from orchestrator.sweep import Comparison
SWEEP = Sweep(
    title="Is it decided?", task="annotation", datasets=["toy"], seeds=range(5),
    models={"logreg": {"Cs": [0.1]}, "random_embedding+probe": {}, "shuffled_labels": {}},
    analysis=[Comparison("logreg", "random_embedding+probe"),
              Comparison("random_embedding+probe", "shuffled_labels")],
)
"""


def sweep(**changes):
    base = {"models": {"mean": {}, "logreg": {}}, "analysis": [Comparison("mean", "logreg")]}
    about = {"title": "a test", "task": "annotation", "datasets": ["toy"], "name": "s"}
    return Sweep(**about, **{**base, **changes})


def test_one_pair_is_decided_early_and_another_goes_to_the_end(gauntlet, tmp_path):
    storage = tmp_path / "runs"
    (tmp_path / "s.py").write_text(SWEEP)
    command = ["run", tmp_path / "s.py", "--until", "decided", "--max-seeds", 10]
    ran = json.loads(gauntlet(*command, "--storage", storage, "--json").stdout)
    first, second = ran["comparison"]
    assert (first["verdict"], first["look"], first["n"]) == ("better", 1, 5)
    assert (second["verdict"], second["look"], second["n"]) == ("undecided", 2, 10)
    assert not first["exploratory"]
    assert not second["exploratory"]
    seeds = results("s", storage).groupby("model")["seed"].nunique().to_dict()
    assert seeds == {"logreg": 5, "random_embedding+probe": 10, "shuffled_labels": 10}
    page = (storage / "reports" / "s.html").read_text()
    assert "1 better at look 1 of 2, 1 undecided at look 2 of 2" in page
    assert "5 (p below 0.0031), 10 (p below 0.049)" in page
    again = json.loads(gauntlet(*command, "--storage", storage, "--json").stdout)
    assert again["ran"] == 0
    assert again["comparison"] == ran["comparison"]
    words = (tmp_path / "s.py", "max_seeds=20", "--storage", storage, "--json")
    assert json.loads(gauntlet("plan", *words).stdout)["trials"] == 15  # by another rule: anew


def test_the_rule_is_hashed_with_the_questions(tmp_path):
    manifests = [plan(sweep(), tmp_path, max_seeds=most).manifest() for most in (0, 10, 10, 20)]
    hashes = [manifest["analysis_sha256"] for manifest in manifests]
    assert hashes[1] == hashes[2]
    assert len(set(hashes)) == 3
    assert manifests[1]["stopping"]["looks"] == [5, 10]
    assert manifests[1]["stopping"]["seeds"] == list(range(10))
    assert "stopping" not in manifests[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_seeds": 3}, "starts with 5 seeds"),
        ({"max_seeds": 10, "task_params": {"protocol": "batch"}}, "batches cannot be added"),
        ({"max_seeds": 10, "analysis": ()}, "no comparisons to decide"),
    ],
)
def test_what_cannot_be_decided_is_refused_at_once(changes, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        plan(sweep(**changes), tmp_path)


def test_half_of_the_option_is_refused(gauntlet, tmp_path):
    words = ("run", "quickstart", "--storage", tmp_path)
    assert "go together" in gauntlet(*words, "--max-seeds", 9, expect=2).stderr
    both = ("--until", "decided", "--max-seeds", 9)
    assert "--only" in gauntlet(*words, *both, "--only", "logreg", expect=2).stderr


def test_all_looks_share_one_ray(monkeypatch, tmp_path):
    """With a Ray that runs trials here, and counts how often it is started."""
    depth, starts = [0], []

    @contextmanager
    def connected(address):
        starts.append(depth[0])
        depth[0] += 1
        yield
        depth[0] -= 1

    def launch(trials, storage, *, watch, code_version, **_):
        assert depth[0]
        for trial in trials:
            execute(trial, storage, code_version=code_version)
            watch("end", trial, {})

    monkeypatch.setattr("orchestrator.launch.connected", connected)
    monkeypatch.setattr("orchestrator.launch.launch", launch)
    room = (lambda trial: {"CPU": 1.0}, {"CPU": 1.0})
    monkeypatch.setattr("orchestrator.launch.room", lambda *_: room)
    alike = {"random_embedding+probe": {}, "shuffled_labels": {}}
    pair = [Comparison("random_embedding+probe", "shuffled_labels")]
    ran = run(sweep(models=alike, analysis=pair), tmp_path, seeds=2, max_seeds=6)
    assert ran.planned == ran.ran == ran.statuses["ok"] > 4
    assert starts[0] == 0  # later looks find it running, as `connected` would
    assert len(starts) > 1
    assert 0 not in starts[1:]
    assert depth == [0]


def test_a_job_is_told_until_when(monkeypatch, tmp_path):
    """What a cluster is asked to run is what `gauntlet run` understands."""
    told = []
    jobs = SimpleNamespace(
        submit=lambda sweep, words, storage: told.extend(words) or "s-1",
        find=lambda job: {"code_version": "1"},
    )
    monkeypatch.setattr("orchestrator.cluster.connect", lambda address: jobs)
    words = ["submit", "quickstart", "seeds=2", "--address", "http://head:8265"]
    done = CliRunner().invoke(app, [*words, "--until", "decided", "--max-seeds", "9"])
    assert done.exit_code == 0, done.output
    assert told == ["seeds=2", "--until", "decided", "--max-seeds", "9"]
    seen = {}
    monkeypatch.setattr("orchestrator.driver.run", lambda *_, **how: seen.update(how))
    monkeypatch.setattr("orchestrator.running_cli.conclude", lambda *_: None)
    CliRunner().invoke(app, ["run", "quickstart", *told, "--storage", str(tmp_path)])
    assert (seen["seeds"], seen["max_seeds"]) == (2, 9)
    half = CliRunner().invoke(app, [*words, "--max-seeds", "9"])
    assert "go together" in str(half.exception)
