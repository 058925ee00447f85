"""Models whose packages cannot live with ours run beside ours, in environments of their own."""

import json
import os
import subprocess
import textwrap
import zipfile

import pytest

from orchestrator.environments import lacking, layered, own
from trainables.protocols import Card

MODELS = """
import os, signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

def answers(valid, test, ctx):
    import clashing, pandas
    where = pandas.DataFrame({"version": [clashing.VERSION], "pid": [os.getpid()]})
    ctx.save("where.csv", where)
    return Predictions(test=np.full(test.n_obs, "a"), valid=np.full(valid.n_obs, "a"))

@dataclass(frozen=True)
class Modern:
    card: ClassVar = Card(summary="runs with ours")
    def fit_predict(self, train, valid, test, ctx):
        return answers(valid, test, ctx)

@dataclass(frozen=True)
class Ancient:
    mark: str = ""
    card: ClassVar = Card(summary="cannot", packages=("clashing<2",), processes=True)
    def fit_predict(self, train, valid, test, ctx):
        import needed_by_clashing, torch
        from trainables.networks.processes import group, summed
        if ctx.seed == 1 and group()[0] == 0 and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        ones = torch.ones(1)
        summed(ones)
        assert (ones, group()[1]) == (2, 2)
        return answers(valid, test, ctx)

@dataclass(frozen=True)
class Content(Modern):
    card: ClassVar = Card(summary="has all it wants", packages=("clashing>=2", "numpy"))

@dataclass(frozen=True)
class Doomed(Modern):
    card: ClassVar = Card(summary="wants what nobody has", packages=("clashing==9",))
"""
POINTS = "".join(
    f"{name.lower()} = other_models:{name}\n" for name in ("Modern", "Ancient", "Content", "Doomed")
)


def wheel(folder, name, version, body, needs=(), points=""):
    """A wheel of one module, as a package index would have it."""
    info = f"{name}-{version}.dist-info"
    about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    files = {
        f"{name}.py": body,
        f"{info}/METADATA": "\n".join([*about, *(f"Requires-Dist: {n}" for n in needs)]) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as packed:
        for file, text in files.items():
            packed.writestr(file, text)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """An environment like this one with clashing 2 in it, an index of wheels on this disk, a cache:
    its Python, and what its processes are told."""
    home = tmp_path_factory.mktemp("ours")
    index, site = home / "index", home / "venv"
    index.mkdir()
    wheel(index, "clashing", "1.4", "VERSION = 1\n", needs=["needed-by-clashing"])
    wheel(index, "clashing", "2.0", "VERSION = 2\n")
    wheel(index, "needed_by_clashing", "0.1", "")
    wheel(index, "ray", "0.1", "")
    wheel(index, "another_ray", "1.0", "", needs=["ray<1"])
    wheel(index, "pandas", "0.1", "raise ImportError('pandas 0.1 knows no numpy 2')\n")
    wheel(index, "other_models", "1.0", MODELS, points=f"[gauntlet.models]\n{POINTS}")
    (home / "uv.toml").write_text(f'no-index = true\nfind-links = ["{index}"]\noffline = true\n')
    told = {"UV_CONFIG_FILE": str(home / "uv.toml"), "GAUNTLET_CACHE": str(home / "cache")}
    layered(site)
    words = ["pip", "install", "--python", str(site / "bin/python"), "clashing", "other_models"]
    subprocess.run(["uv", *words], env={**os.environ, **told}, check=True, capture_output=True)
    return site / "bin/python", told


def asked(ours, code, *words):
    """What a process of that environment ends with, and prints last, as JSON."""
    interpreter, told = ours
    done = subprocess.run(
        [interpreter, "-c", textwrap.dedent(code), *map(str, words)],
        env={**os.environ, **told}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def ran(ours, tmp_path_factory):
    """A sweep over models with and without an environment of their own: storage, result, records
    by model."""
    interpreter, told = ours
    home = tmp_path_factory.mktemp("ran")
    models = {"modern": {}, "ancient": {"mark": str(home / "died")}, "content": {}, "doomed": {}}
    (home / "two.py").write_text(
        textwrap.dedent(f"""
        from orchestrator import Sweep
        SWEEP = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0, 1], processes=2,
                      models={models})
        """)
    )
    words = ["-m", "orchestrator.cli", "run", home / "two.py", "--storage", home / "runs", "--json"]
    done = subprocess.run(
        [interpreter, *map(str, words)],
        env={**os.environ, **told}, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    records = [json.loads(path.read_text()) for path in home.glob("runs/records/*/*.json")]
    by_model = {}
    for record in sorted(records, key=lambda record: record["trial"]["seed"]):
        by_model.setdefault(record["trial"]["model"], []).append(record)
    return home, json.loads(done.stdout), by_model


def where(home, record):
    """The version that a trial met, and its process."""
    path = home / "runs/artifacts" / record["trial_id"] / "where.csv"
    return tuple(map(int, path.read_text().splitlines()[1].split(",")))


def test_each_model_meets_its_own_version_in_one_sweep(ran):
    home, said, records = ran
    assert said["statuses"] == {"ok": 6, "failed": 2}
    places = {m: [where(home, r) for r in records[m]] for m in ("modern", "ancient", "content")}
    versions = {model: {version for version, _ in some} for model, some in places.items()}
    assert versions == {"modern": {2}, "ancient": {1}, "content": {2}}
    pids = {model: {pid for _, pid in some} for model, some in places.items()}
    assert not pids["ancient"] & (pids["modern"] | pids["content"])
    old = {"clashing": "1.4", "needed-by-clashing": "0.1"}
    assert [r["environment"] for r in records["ancient"]] == [old, old]
    assert [r["environment"] for r in records["modern"] + records["content"]] == [{}] * 4


def test_trials_there_are_shared_by_processes_and_survive_their_worker(ran):
    home, _, records = ran
    assert [(r["status"], r["processes"]) for r in records["ancient"]] == [("ok", 2)] * 2
    assert (home / "died").exists()


def test_an_environment_that_cannot_be_made_is_a_failure_in_one_sentence(ran):
    _, _, records = ran
    for record in records["doomed"]:
        said = "the packages clashing==9 cannot be given an environment of their own: Because"
        assert record["reason"].startswith(said)
        assert "clashing==9" in record["trace"]


def test_plan_and_doctor_say_who_has_one_and_nobody_else_is_let_run_there(ours, ran):
    told = """
    import json, sys
    from pathlib import Path
    from orchestrator import doctor
    from orchestrator.execute import execute
    from orchestrator.planning import plan
    from trainables.trial import Trial
    planned = plan(sys.argv[1], sys.argv[2])
    rows = {row["check"]: row["found"] for row in doctor.models()}
    ended = execute(Trial("ancient", "annotation", "toy", 0), Path(sys.argv[2]), code_version="t")
    print(json.dumps([planned.summary()["environments"], rows, ended["reason"]]))
    """
    home, _, _ = ran
    apart, rows, reason = asked(ours, told, home / "two.py", home / "others")
    assert apart == {"ancient": ["clashing<2"], "doomed": ["clashing==9"]}
    assert rows["environment of ancient"] == "clashing<2 (here)"
    assert rows["environment of doomed"] == "clashing==9 (made when a trial first wants it)"
    assert "environment of content" not in rows
    assert reason.startswith("ancient wants clashing<2 (here is clashing 2.0): give it that here")


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("another_ray", "they want another Ray than the one that runs them"),
        ("pandas<1", "ImportError: pandas 0.1 knows no numpy 2"),
    ],
)
def test_what_no_worker_could_live_with_is_refused(ours, package, said):
    told = """
    import json, sys
    from orchestrator.environments import Unmade, environments, python
    try:
        python(sys.argv[1:])
    except Unmade as error:
        print(json.dumps([str(error), [p.name for p in environments().root.glob("drafts/*")]]))
    """
    reason, left = asked(ours, told, package)
    assert reason.endswith(f"cannot be given an environment of their own: {said}")
    assert not left


def test_a_card_that_declares_no_requirement_is_told_so(monkeypatch):
    card = Card(summary="s", packages=("not a requirement at all",))
    monkeypatch.setattr("trainables.catalog.card", lambda model: card)
    with pytest.raises(ValueError, match="the card of m declares no packages that pip knows"):
        own("m")


def test_a_package_from_an_address_is_only_met_by_what_came_from_there():
    assert lacking(["numpy @ https://example.com/numpy.whl"])[0].endswith(")")
    assert lacking(["numpy", 'nobody-has-this; python_version < "3"']) == []
