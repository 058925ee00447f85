"""Models whose packages cannot live with ours run beside ours, in environments of their own."""

import json
import os
import subprocess
import textwrap
import zipfile

import pytest

from orchestrator.environments import layered

MODELS = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

def answers(valid, test, ctx):
    import clashing, pandas, os
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
    card: ClassVar = Card(summary="cannot", packages=("clashing<2",), processes=True)
    def fit_predict(self, train, valid, test, ctx):
        import needed_by_clashing
        return answers(valid, test, ctx)

@dataclass(frozen=True)
class Content:
    card: ClassVar = Card(summary="has all it wants", packages=("clashing>=2", "numpy"))
    def fit_predict(self, train, valid, test, ctx):
        return answers(valid, test, ctx)

@dataclass(frozen=True)
class Doomed:
    card: ClassVar = Card(summary="wants what nobody has", packages=("clashing==9",))
    def fit_predict(self, train, valid, test, ctx):
        return answers(valid, test, ctx)
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
    wheel(index, "other_models", "1.0", MODELS, points=f"[gauntlet.models]\n{POINTS}")
    (home / "uv.toml").write_text(f'no-index = true\nfind-links = ["{index}"]\noffline = true\n')
    told = {"UV_CONFIG_FILE": str(home / "uv.toml"), "GAUNTLET_CACHE": str(home / "cache")}
    layered(site)
    words = ["pip", "install", "--python", str(site / "bin/python"), "clashing", "other_models"]
    subprocess.run(["uv", *words], env={**os.environ, **told}, check=True, capture_output=True)
    return site / "bin/python", told


def asked(ours, code):
    """What a process of that environment prints last."""
    interpreter, told = ours
    done = subprocess.run(
        [interpreter, "-c", textwrap.dedent(code)],
        env={**os.environ, **told}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def ran(ours, tmp_path_factory):
    """A sweep over models with and without an environment of their own: storage, result, records
    by model."""
    interpreter, told = ours
    home = tmp_path_factory.mktemp("ran")
    (home / "two.py").write_text(
        textwrap.dedent("""
        from orchestrator import Sweep
        MODELS = {"modern": {}, "ancient": {}, "content": {}, "doomed": {}}
        SWEEP = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0, 1], models=MODELS)
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
    print(done.stdout, done.stderr)
    return home / "runs", json.loads(done.stdout), by_model


def where(storage, record):
    text = (storage / "artifacts" / record["trial_id"] / "where.csv").read_text()
    version, pid = text.splitlines()[1].split(",")
    return int(version), int(pid)


def test_each_model_meets_its_own_version_in_one_sweep(ran):
    storage, said, records = ran
    assert said["statuses"] == {"ok": 6, "failed": 2}
    versions = {
        m: {where(storage, r)[0] for r in rs if r["status"] == "ok"} for m, rs in records.items()
    }
    assert versions == {"modern": {2}, "ancient": {1}, "content": {2}, "doomed": set()}
    old = {"clashing": "1.4", "needed-by-clashing": "0.1"}
    assert [r["environment"] for r in records["ancient"]] == [old, old]
    assert [r["environment"] for r in records["modern"] + records["content"]] == [{}] * 4
