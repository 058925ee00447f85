"""What was found, asked for by the command: in many ways, in figures, and in bad questions."""

import io
import json
from xml.etree import ElementTree

import pandas as pd
import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

PAIR = ("compare", "logreg", "pca+probe")
FIGURES = {"annotation-by-labels", "differences"}


@pytest.fixture
def asked(quickstart):
    """The command within this process, on the storage of one quickstart."""

    def command(*words):
        done = CliRunner().invoke(app, [*map(str, words), "--storage", str(quickstart[0])])
        return done

    return command


def test_a_question_is_asked_in_many_ways(asked):
    ways = pd.read_csv(io.StringIO(asked(*PAIR, "--multiverse", "--format", "csv").stdout))
    assert {"as asked", "metric accuracy", "test paired", "test seeds-and-cells"} <= set(
        ways["way"]
    )
    assert {f"without seed {seed}" for seed in range(5)} <= set(ways["way"])
    plain = pd.read_csv(io.StringIO(asked(*PAIR, "--format", "csv").stdout))
    planned = ways[ways["way"] == "as asked"]
    assert list(planned["p"]) == pytest.approx(list(plain["p"]))
    assert list(planned["fraction"]) == list(plain["fraction"]) == [0.1, 0.25, 0.5, 1.0]
    told = json.loads(asked(*PAIR, "--multiverse", "--json").stdout)
    assert [row["way"] for row in told] == list(ways["way"])
    shown = asked(*PAIR, "--multiverse").stdout
    assert "does the verdict survive?" in shown
    agree = (ways["verdict"] == planned.set_index("fraction")["verdict"].loc[0.1])[
        (ways["fraction"] == 0.1) & (ways["way"] != "as asked")
    ]
    line = next(line.split() for line in shown.splitlines() if " 0.1 " in line)
    assert line[:2] == ["pbmc68k_reduced", "0.1"]
    assert line[3:5] == [str(agree.sum()), str(len(agree))]


def test_figures_are_written_as_vectors_and_as_pictures(asked, tmp_path):
    folder, page = tmp_path / "figures", tmp_path / "r.html"
    done = asked("report", "quickstart", "--figures", folder, "--out", page)
    assert done.stdout.strip() == str(page)
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")
    }
    for name in FIGURES:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n")
        drawn = "".join(ElementTree.parse(folder / f"{name}.svg").getroot().itertext())
        assert "pca+probe" in drawn  # text is text, not outlines
    assert page.read_text().count("<figure") == len(FIGURES)


def test_a_table_in_latex_holds_the_numbers_of_the_comparison(asked):
    rows = pd.read_csv(io.StringIO(asked(*PAIR, "--format", "csv").stdout))
    latex = asked(*PAIR, "--format", "latex").stdout
    for row in rows.to_dict("records"):
        assert f"{abs(row['difference']):.3f}" in latex
        assert row["verdict"] in latex


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*PAIR, "--metric", "test/f2"), "no metric 'test/f2'; there are: "),
        ((*PAIR, "--dataset", "zheng68k"), "no data set 'zheng68k'; there are: pbmc68k_reduced"),
        (("compare", "logreg", "scgpt"), "no model 'scgpt'; there are: "),
        (("compare", "logreg", "logreg"), "'logreg' cannot be compared with itself"),
        ((*PAIR, "--margin", "0"), "margin is 0.0; a difference too small to matter is above 0"),
        ((*PAIR, "--multiverse", "--test", "paired"), "leave them out"),
        ((*PAIR, "--multiverse", "--format", "latex"), "--format csv or --json"),
        ((*PAIR, "--multiverse", "--metric", "test/f2"), "no metric 'test/f2'"),
        ((*PAIR, "--sweep", "other"), "no sweep 'other'"),
        (("report", "other"), "no sweep 'other'"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_a_sentence(asked, words, told):
    done = asked(*words)
    assert isinstance(done.exception, (LookupError, ValueError))
    assert told in str(done.exception)


@pytest.mark.parametrize("words", [PAIR, (*PAIR, "--multiverse"), ("report",)])
def test_where_nothing_was_run_the_way_out_is_told(tmp_path, words):
    done = CliRunner().invoke(app, [*words, "--storage", str(tmp_path / "nowhere")])
    assert isinstance(done.exception, LookupError)
    assert "run a sweep first" in str(done.exception)
