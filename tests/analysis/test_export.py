"""Tables that LaTeX takes as they are."""

import io

import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis import compare
from analysis.export import comparison_latex, results_latex
from orchestrator.cli import app


def lines(latex):
    """The cells of the body of a tabular."""
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [[cell.strip() for cell in row.split("&")] for row in body.split(r"\\") if row.strip()]


def test_a_comparison_in_latex_has_a_line_a_row(table):
    rows = compare(table, "logreg", "pca+probe")
    found = lines(comparison_latex(rows))
    assert len(found) == len(rows) == 4
    assert [line[-1] for line in found] == list(rows["verdict"])
    assert found[0][2] == r"pbmc68k\_reduced"
    assert float(found[0][6].replace("$-$", "-")) == pytest.approx(rows["difference"][0], abs=6e-4)


def test_results_in_latex_are_means_and_sds_over_seeds(table):
    one = table[(table["model"] == "mean") & (table["metric"] == "test/accuracy")]
    (line,) = lines(results_latex(one))
    values = one.query("fraction == 0.1")["value"]
    assert line[:3] == ["accuracy", r"pbmc68k\_reduced", "mean"]
    assert line[3] == rf"{values.mean():.3f} $\pm$ {values.std():.3f}"
    assert len(line) == 3 + one["fraction"].nunique()


def test_the_command_prints_csv_and_latex(monkeypatch, table):
    rows = compare(table, "logreg", "pca+probe")
    monkeypatch.setattr("analysis.conclusion.compared", lambda *_, **__: rows)
    words = ["compare", "logreg", "pca+probe", "--format"]
    printed = CliRunner().invoke(app, [*words, "csv"]).stdout
    assert list(pd.read_csv(io.StringIO(printed))["verdict"]) == list(rows["verdict"])
    assert r"\toprule" in CliRunner().invoke(app, [*words, "latex"]).stdout
    monkeypatch.setattr("analysis.results", lambda *_, **__: table)
    printed = CliRunner().invoke(app, ["results", "--format", "latex"]).stdout
    assert len(lines(printed)) == len(table.groupby(["metric", "model"]))
