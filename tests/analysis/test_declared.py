"""What tasks declare decides: seeds of one batch count once, and less of an error is better."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from analysis import compare, results
from orchestrator.cli import app
from orchestrator.execute import Done, execute, record_of
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Comparison, Sweep
from orchestrator.trouble import say
from tests.analysis.conftest import only, predicted_table, scores_table
from trainables import catalog
from trainables.protocols import Annotator, Drawn

BATCHES = {"design": "batches", "selected_on_test": False}


def by_batch(a, b, batches, **changes):
    """Two arms whose seeds leave out these batches."""
    table = scores_table(a, b, **changes)
    table = table.assign(**BATCHES, better='{"test/macro_f1": "higher"}')
    return table.assign(batch=[batches[seed] for seed in table["seed"]])


def test_seeds_of_one_batch_are_averaged_and_count_once():
    rng = np.random.default_rng(0)
    a, b = 0.9 + rng.normal(0, 0.002, 6), 0.8 + rng.normal(0, 0.002, 6)
    a[1::3] += 0.05
    row = only(compare(by_batch(a, b, "xyzxyz"), "a", "b"))
    differences = (a - b).reshape(2, 3).mean(0)
    assert row["n"] == 3
    assert row["p"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert "6 seeds leave out 3 batches: averaged within each batch" in row["note"]
    for test in ("welch", "student", "wilcoxon", "bayes"):
        assert only(compare(by_batch(a, b, "xyzxyz"), "a", "b", test=test))["n"] == 3


def test_two_batches_hardly_prove_anything_however_many_seeds():
    false = 0
    for draw in range(60):
        rng = np.random.default_rng(draw)
        seeds = np.arange(6) % 2
        a, b = (rng.normal(0, 0.05, 2)[seeds] + rng.normal(0, 0.001, 6) for _ in "ab")
        false += only(compare(by_batch(a, b, "xyxyxy"), "a", "b"))["p"] < 0.05
    assert false <= 8


def test_a_table_of_an_older_version_counts_test_sets_of_one_size_once():
    table = scores_table([0.9, 0.8] * 3, [0.8, 0.75] * 3, protocol="leave one batch out, 10%")
    table["n_eval"] = 100 + table["seed"] % 2
    assert only(compare(table, "a", "b"))["n"] == 2


def test_a_plan_refuses_more_seeds_than_batches(tmp_path):
    words = ["plan", "quickstart", "task.protocol=batch", "datasets=toy"]
    place = ["--storage", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "seeds=6", *place])
    assert "seeds 0 and 2 both leave out batch 'batch 0' of toy, which has 2" in str(done.exception)
    assert type(done.exception) is ValueError
    assert CliRunner().invoke(app, [*words, "seeds=2", *place]).exit_code == 0


def test_equivalence_is_corrected_in_its_family():
    """At the margin itself, twelve rows are called equivalent falsely in 5 % of tables."""
    false = 0
    for draw in range(40):
        rng = np.random.default_rng(draw)
        parts = []
        for fraction in np.linspace(0.1, 1, 12):
            b = rng.normal(0.5, 0.02, 8)
            part = scores_table(b + 0.02 + rng.normal(0, 0.01, 8), b)
            parts.append(part.assign(fraction=fraction))
        rows = compare(pd.concat(parts), "a", "b", test="paired", margin=0.02)
        assert (rows["p_equivalent_adjusted"] >= rows["p_equivalent"]).all()
        false += (rows["verdict"] == "equivalent").any()
    assert false <= 7


@pytest.mark.parametrize("draw", range(12))
def test_deterministic_models_on_one_test_set_have_a_p_value(draw):
    table, predictions = predicted_table(luck=0.0, draw=draw, seeds=1, protocol="fixed test set")
    seeds = [table.assign(seed=seed) for seed in range(5)]
    row = only(compare(pd.concat(seeds), "a", "b", "test/accuracy", predictions=predictions))
    assert 0 <= row["p"] <= 1
    assert row["ci_low"] < row["difference"] < row["ci_high"]
    assert np.isnan(row["effect"])


def test_identical_predictions_are_a_verdict():
    table, predictions = predicted_table()
    same = lambda trial: predictions(trial.replace("b", "a"))  # noqa: E731
    of_a = table[table["model"] == "a"]
    twins = pd.concat(
        [of_a, of_a.assign(model="b", trial_id=of_a["trial_id"].str.replace("a", "b"))]
    )
    row = only(compare(twins, "a", "b", predictions=same, margin=0.01))
    assert (row["verdict"], row["n"], row["difference"]) == ("identical", 5, 0)
    assert only(compare(twins, "a", "b", margin=0.01))["verdict"] == "undecided"


def rmse_table(**changes):
    """Two arms of a task from elsewhere: a errs less."""
    table = scores_table([0.1, 0.12, 0.11, 0.1], [0.3, 0.33, 0.29, 0.31], metric="test/rmse")
    columns = {"task": "imputation", "design": "fixed", "selected_on_test": False, "batch": ""}
    return table.assign(**columns | {"better": '{"test/rmse": "lower"}'} | changes)


def test_less_of_a_declared_error_is_better_and_an_undeclared_metric_is_refused():
    assert only(compare(rmse_table(), "a", "b", "test/rmse"))["verdict"] == "better"
    assert only(compare(rmse_table(), "b", "a", "test/rmse"))["verdict"] == "worse"
    with pytest.raises(ValueError, match="'imputation' does not say whether higher or lower"):
        compare(rmse_table(better="{}"), "a", "b", "test/rmse")
    with pytest.raises(ValueError, match="does not say how a seed draws its test cells"):
        compare(rmse_table(design=None), "a", "b", "test/rmse")
    assert only(compare(rmse_table(design=None), "a", "b", "test/rmse", test="paired"))["p"] < 0.05


@dataclass(frozen=True)
class Imputation:
    """A task of another package, whose score is an error."""

    needs: ClassVar[type] = Annotator
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "give back what was hidden"
    headline: ClassVar[str] = "test/rmse"
    metrics: ClassVar[dict] = {"test/rmse": "lower"}

    def described(self, cells=None):
        return "random guesses at everything"

    def drawn(self, cells, seed):
        return Drawn("fixed")

    def check(self, cells):
        """Any cells will do."""

    def __call__(self, model, cells, ctx):
        worse = type(model).__name__ == "Mean"
        return {"test/rmse": 0.3 + 0.2 * worse + 0.01 * ctx.seed**2 * (1 + worse), "n_eval": 5}


SWEEP = Sweep(
    title="t", task="imputation", datasets=["toy"], seeds=range(4), name="imputing",
    models={"mean": {}, "logreg": {}}, analysis=[Comparison("logreg", "mean", "test/rmse")],
)  # fmt: skip


@pytest.fixture
def plugged(monkeypatch):
    """The task as an installed package offers it."""
    find, here = catalog.find, ("tasks", "imputation")
    monkeypatch.setattr(catalog, "find", lambda *of: Imputation if of == here else find(*of))


def recorded(storage, sweep, done=None):
    """A sweep's records, run really; `done` says what becomes of a trial instead."""
    planned = plan(sweep, storage)
    write_manifest(storage, planned.manifest())
    for trial in planned.trials:
        if done is None:
            execute(trial, storage, code_version="test")
        else:
            Ledger(storage).commit(record_of(trial, done(trial), "test"))
    return planned.trials


def asked(*words):
    done = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200"})
    return done


def test_a_task_from_elsewhere_is_compared_in_the_right_direction(plugged, tmp_path):
    recorded(tmp_path, SWEEP)
    table = results("imputing", tmp_path)
    assert set(table["design"]) == {"fixed"}
    assert json.loads(table["better"].iloc[0]) == {"test/rmse": "lower"}
    told = asked("compare", "logreg", "mean", "--storage", tmp_path, "--json")
    assert json.loads(told.stdout)[0]["verdict"] == "better"
    shown = asked("compare", "logreg", "mean", "--storage", tmp_path).stdout
    assert "paired: shared seeds, one fixed test set" in shown
    assert "seeds needed" in shown


ANNOTATING = Sweep(
    title="t", task="annotation", datasets=["toy"], seeds=range(4), name="few",
    models={"mean": {}, "logreg": {"C": 1.0}}, analysis=[Comparison("logreg", "mean")],
)  # fmt: skip


def scored(trial):
    level = 0.8 if trial.model == "logreg" else 0.4
    metrics = {"test/macro_f1": level + 0.01 * trial.seed**1.5 * (level > 0.5)}
    return Done(metrics=metrics, protocol="fixed test set")


def test_a_planned_comparison_that_cannot_be_made_says_why_and_exits_with_3(tmp_path):
    trials = recorded(tmp_path, ANNOTATING)
    words = ("compare", "logreg", "mean", "--storage", tmp_path)
    assert asked(*words).exit_code == 0
    (tmp_path / "artifacts" / trials[0].id / "predictions.parquet").write_bytes(b"PAR1 no")
    done = asked(*words)
    assert done.exit_code == 3
    assert f"predictions of trial {trials[0].id} cannot be read" in done.output
    (page,) = asked("report", "few", "--storage", tmp_path).stdout.split()
    assert trials[0].id in Path(page).read_text(encoding="utf-8")
    again = plan(ANNOTATING, tmp_path).to_run
    assert [trial.id for trial in again] == [trials[0].id], "its trial runs again"
    assert len(results("few", tmp_path)["trial_id"].unique()) == len(trials), "nothing is lost"
    execute(again[0], tmp_path, code_version="test")
    assert asked(*words).exit_code == 0


def test_seeds_without_a_partner_are_told_in_the_default_table(tmp_path):
    def lost(trial):
        failed = trial.model == "logreg" and trial.seed == 2
        return Done(status="failed", reason="no luck") if failed else scored(trial)

    recorded(tmp_path, ANNOTATING, lost)
    shown = " ".join(asked("compare", "logreg", "mean", "--storage", tmp_path).stdout.split())
    assert "1 of 4 seeds left out, without a partner (logreg: 1 failed)" in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ('{"trial_id": "', "no JSON, or cut short"),
        ("[]", "JSON, but no record"),
        ("nan", "a metric, count or cost is no number"),
        ("Infinity", "a metric, count or cost is no number"),
        ('"high"', "a metric, count or cost is no number"),
    ],
)
def test_a_damaged_record_is_told_and_the_others_are_read(tmp_path, text, told):
    trials = recorded(tmp_path, ANNOTATING, scored)
    path = tmp_path / "records" / trials[0].id[:2] / f"{trials[0].id}.json"
    if (text and text[0] not in '{["') or text == '"high"':
        record = json.loads(path.read_text())
        value = {"nan": float("nan"), "Infinity": float("inf")}.get(text, "high")
        text = json.dumps(record | {"metrics": {"test/macro_f1": value}})
    for words in (("results", "few"), ("compare", "logreg", "mean")):
        path.write_text(text)
        say.cache_clear()  # each command is a process of its own
        done = asked(*words, "--storage", tmp_path)
        assert done.exit_code == 2, done.output
        assert f"{trials[0].id}.json is damaged" in done.output
        assert told in done.output
        assert "logreg" in done.output
        assert asked(*words, "--storage", tmp_path).exit_code == 0, "it was set aside"
    table = results("few", tmp_path)
    assert (table["status"] == "ok").sum() == len(trials) - 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "high"])
def test_a_score_that_is_no_number_is_refused_from_a_table_too(tmp_path, value):
    table = scores_table([0.8, 0.9, 0.85], [0.7, 0.75, 0.8]).astype({"value": object})
    table.loc[1, "value"] = value
    table.to_csv(tmp_path / "t.csv", index=False)
    for one in (table, pd.read_csv(tmp_path / "t.csv", keep_default_na=True)):
        with pytest.raises(ValueError, match=r"a on pbmc68k_reduced .* no finite number"):
            compare(one, "a", "b")


def test_a_task_that_gives_no_number_fails(plugged, tmp_path, monkeypatch):
    monkeypatch.setattr(Imputation, "__call__", lambda *_: {"test/rmse": float("nan")})
    recorded(tmp_path, SWEEP)
    table = results("imputing", tmp_path)
    assert set(table["status"]) == {"failed"}
    assert table["reason"].iloc[0] == "test/rmse came out as nan, which is no finite number"
