"""The README's promises: its commands exist, and CI runs the first two."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def commands(page):
    lines = "\n".join(blocks(page, "console")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.strip()]


def test_ci_runs_exactly_the_quickstart_and_the_tests():
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    run = [line for line in script if line.startswith("uv run")]
    assert run == commands(ROOT / "README.md")[:2]
    assert run == ["uv run gauntlet run quickstart", "uv run pytest"]


@pytest.mark.parametrize("command", [c for p in PAGES for c in commands(p) if "gauntlet " in c])
def test_every_command_of_the_pages_exists(command):
    words = shlex.split(command.partition("gauntlet ")[2])
    options = [word for word in words if word.startswith("--")]
    depth = 2 if words[0] in ("data", "models") else 1  # those with commands of their own
    asked = words if words[0] == "--help" else [*words[:depth], "--help"]
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0, found.output
    for option in options:
        assert option.split("=")[0] in re.sub(r"\x1b\[[\d;]*m", "", found.output)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_on_the_pages_can_be_read(page):
    for code in blocks(page, "python"):
        compile(code, page.name, "exec")


def test_the_readmes_sweep_is_a_sweep(tmp_path):
    from orchestrator.known_sweeps import find_sweep

    code = next(c for c in blocks(ROOT / "README.md", "python") if "SWEEP" in c)
    path = tmp_path / "my_sweep.py"
    path.write_text(code)
    assert len(find_sweep(str(path)).trials()) == 3 * 10 * (5 + 2)


def test_the_guides_model_runs(ctx):
    from trainables import catalog
    from trainables.cells import open_cells, prepare
    from trainables.tasks.annotation import TASK

    code = blocks(ROOT / "docs" / "add-a-model.md", "python")[0]
    names: dict = {"__name__": "centroid"}
    exec(compile(code, "add-a-model.md", "exec", dont_inherit=True), names)
    cells = open_cells(prepare(catalog.dataset("toy"), ctx.store))
    assert TASK()(names["MODEL"](), cells, ctx)["test/accuracy"] > 0.8
