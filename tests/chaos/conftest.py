"""The machines that the tests of this folder kill, and the table of what came of it."""

import pytest

from tests.chaos.machines import Nodes, Postgres, Tracking, skip_unless_linux

MODELS = '''
"""Models that take next to no time, and say where they run."""
import os, time, uuid
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from trainables.protocols import Card, Predictions
from trainables.seeds import stream

MARKS = Path(os.environ.get("CHAOS_MARKS", "/nowhere"))

def drawn(purpose, train, valid, test, ctx):
    """Types at random, by the trial's own seed."""
    rng, names = stream(ctx.seed, purpose), sorted(train.obs["cell_type"].astype(str).unique())
    return Predictions(test=rng.choice(names, test.n_obs), valid=rng.choice(names, valid.n_obs))

@dataclass(frozen=True)
class Tiny:
    draw: int = 0
    card: ClassVar = Card(summary="leaves a mark each time it runs")
    def fit_predict(self, train, valid, test, ctx):
        if MARKS.exists():
            (MARKS / f"{ctx.trial}.{os.getpid()}.{uuid.uuid4().hex}").touch()
            time.sleep(0.1)
        return drawn(f"tiny {self.draw}", train, valid, test, ctx)

@dataclass(frozen=True)
class Gated:
    marks: str = ""
    card: ClassVar = Card(summary="goes on when it is let")
    def fit_predict(self, train, valid, test, ctx):
        marks = Path(self.marks)
        me = marks / f"{ctx.seed}.{len(list(marks.glob(f'{ctx.seed}.*.pid')))}"
        draft = marks / uuid.uuid4().hex
        draft.write_text(f"{os.getpid()} {ctx.scratch}")
        draft.rename(f"{me}.pid")
        while not Path(f"{me}.go").exists():
            time.sleep(0.05)
        Path(f"{me}.done").touch()
        return drawn("gated", train, valid, test, ctx)
'''
CLOCK = """
import os, time
off, seconds = float(os.environ.get("CLOCK_OFF", "0")), time.time
if off:
    time.time = lambda: seconds() + off
"""
"""Sets the clock of a process off; Python runs it before anything else."""
TABLE = []
"""A line for each schedule: its name, faults by kind, reruns, lost, duplicated, unclear."""


@pytest.fixture(scope="session")
def chaotic(tmp_path_factory):
    """The environment that has these models, and the folder in which `tiny` leaves its marks."""
    skip_unless_linux()
    site = tmp_path_factory.mktemp("site")
    (site / "chaos_models.py").write_text(MODELS)
    (site / "sitecustomize.py").write_text(CLOCK)
    info = site / "chaos-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 1.0\n")
    points = "[gauntlet.models]\ntiny = chaos_models:Tiny\ngated = chaos_models:Gated\n"
    (info / "entry_points.txt").write_text(points)
    marks = tmp_path_factory.mktemp("marks")
    return {"PYTHONPATH": str(site), "CHAOS_MARKS": str(marks), "RAY_AUTH_MODE": "disabled"}


@pytest.fixture(scope="session")
def nodes(chaotic):
    """A Ray of two nodes and a head."""
    started = Nodes(chaotic)
    yield started
    started.close()


@pytest.fixture(scope="session")
def postgres():
    """PostgreSQL; None where there is none."""
    if Postgres.absent():
        yield None
        return
    started = Postgres()
    started.start()
    yield started
    started.close()


@pytest.fixture(scope="session")
def tracking(postgres, tmp_path_factory):
    """An MLflow server on PostgreSQL, on SQLite where there is none."""
    server = Tracking(tmp_path_factory.mktemp("tracking"), postgres and postgres.url)
    server.start()
    yield server
    server.close()


def pytest_terminal_summary(terminalreporter):
    """Print the table."""
    if not TABLE:
        return
    terminalreporter.section("chaos")
    columns = list(TABLE[0])
    for line in [dict(zip(columns, columns, strict=True)), *TABLE]:
        cells = [str(line[column]).rjust(max(10, len(column))) for column in columns]
        terminalreporter.write_line(" ".join(cells))
    if why := Postgres.absent():
        terminalreporter.write_line(f"PostgreSQL was not killed: {why}")
