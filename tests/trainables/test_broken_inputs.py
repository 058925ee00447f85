"""Whatever is wrong with a file, the command says so in one sentence and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import cli, driver
from tests.trainables.broken_inputs import files, matrices, metadata  # noqa: F401  they enter theirs
from tests.trainables.broken_inputs.table import CASES


def one_sentence(errors: str, fragment: str) -> None:
    """Standard error is one line that says who speaks and what is wrong."""
    assert errors.startswith("gauntlet: ")
    assert errors.count("\n") == 1
    assert errors.endswith("\n")
    assert fragment in errors


def nothing_half_written(storage: Path) -> None:
    """No draft, no record, no manifest; a data set prepared whole may stay."""
    left = [path.relative_to(storage).parts for path in storage.rglob("*") if path.is_file()]
    assert not [parts for parts in left if parts[0] != "store" or "drafts" in parts]


@pytest.mark.parametrize("case", CASES)
def test_a_broken_input_is_refused_in_one_sentence(case, tmp_path, monkeypatch, capsys):
    build, fragment = CASES[case]
    inputs, storage = tmp_path / "inputs", tmp_path / "runs"
    inputs.mkdir()
    command = ["gauntlet", "run", "quickstart", "seeds=1", "--storage", str(storage)]
    monkeypatch.setattr(sys, "argv", [*command, *build(inputs)])
    monkeypatch.setattr(driver, "go", lambda *_: pytest.fail("Ray was started"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    one_sentence(capsys.readouterr().err, fragment)
    nothing_half_written(storage)


@pytest.mark.parametrize("case", ["truncated_h5ad", "negative", "missing_label_key"])
def test_the_command_itself_refuses_it(case, tmp_path):
    build, fragment = CASES[case]
    storage = tmp_path / "runs"
    command = [sys.executable, "-m", "orchestrator.cli", "run", "quickstart"]
    ended = subprocess.run(
        [*command, "--storage", str(storage), *build(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 2
    one_sentence(ended.stderr, fragment)
    nothing_half_written(storage)


def test_plan_refuses_a_file_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["gauntlet", "plan", "quickstart", *files.missing_file(tmp_path)]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    one_sentence(capsys.readouterr().err, "there is no file")


def test_there_are_forty_broken_inputs_and_more():
    assert len(CASES) >= 40
