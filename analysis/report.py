"""One page that says who won, by how much, how sure that is, and how it was done."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import claims, drawings, fairness
from analysis.declared import better, with_declarations
from analysis.family import family
from analysis.figures.style import pretty, svg
from analysis.origins import noted
from analysis.predictions import Predictions
from analysis.scaling import RESCALED, rescaled
from analysis.selection import candidates_as_models, choose_on_validation, chosen, twin
from analysis.table import check, holes, ok, values_of
from analysis.unscored import unscored

WORDS = {
    "created_at": "planned at",
    "headline": "main metric",
    "analysis_sha256": "sha256 of the planned comparisons",
}
"""What entries of a manifest are called on a page."""
STRONG = 10
"""A difference in BIC that is strong evidence (Kass & Raftery 1995)."""


def report(
    table: pd.DataFrame,
    comparisons: Sequence[Mapping[str, Any]] = (),
    out: str | Path = "report.html",
    *,
    title: str,
    sweep: str,
    manifest: Mapping[str, Any] | None = None,
    points: pd.DataFrame | None = None,
    epochs: Mapping[str, list[dict[str, Any]]] | None = None,
    predictions: Predictions | None = None,
    pretraining: pd.DataFrame | None = None,
    figures: Path | None = None,
) -> Path:
    """Write one self-contained HTML page about a sweep; returns its path.

    `table` is the tidy table of the sweep; `comparisons` are the questions asked beforehand (see
    `significance.compare_all`), corrected for each other. One that cannot be answered, as when a
    model was not run, is listed with the reason. `manifest` is what else should be told of how
    the sweep was run, by name; its "controls" are the models that scores are rescaled between.
    `points` are cells on a plane, for `figures.maps`: task, dataset, model, x, y, cell_type, batch.
    `epochs` is what each trial reported as it went, by its id (see `results.histories`).
    `predictions` are the test cells that trials kept, as `significance.compare` reads them.
    `pretraining` are the rows of trials that made weights for an arm, whose hours count as its own.
    `figures` is a folder for every figure of the page, as .svg and .png.
    Figures and styles are in the page, and nothing is fetched.

    Raises ValueError when the table cannot be used (see `table.check`).
    """
    from jinja2 import Environment, PackageLoader

    table = with_declarations(check(table))
    missing = [str(one) for one in unscored(table, (manifest or {}).get("models"))]
    metric = main_metric(table, comparisons, (manifest or {}).get("headline"))
    table = candidates_as_models(table, twin(metric))
    best = choose_on_validation(table, twin(metric))
    rows, unanswered = family(table, comparisons, (manifest or {}).get("stopping"), predictions)
    rows = noted(rows, (manifest or {}).get("weights"))
    controls: Mapping[str, str] = (manifest or {}).get("controls", {})
    scaled = rescaled(values_of(best, metric), controls)
    drawn = [
        *drawings.found(best, rows, metric),
        *drawings.standings(best, metric, controls),
        *drawings.lessons(best, epochs or {}, twin(metric)),
        *drawings.pictures(points, controls),
    ]
    if figures is not None:
        drawings.write(drawn, figures)
    page = Environment(loader=PackageLoader("analysis", "."), autoescape=True, trim_blocks=True)
    page.filters.update(claims.FILTERS)
    Path(out).write_text(
        page.get_template("report.html.j2").render(
            title=title,
            sweep=sweep,
            metric=metric,
            verdicts=claims.sentences(rows),
            unanswered=unanswered,
            rows=rows.to_dict("records"),
            notes=claims.notes(rows),
            looks=claims.looks(rows, (manifest or {}).get("stopping")),
            drawings=[
                {"svg": svg(one.figure), "caption": one.caption, "name": one.name} for one in drawn
            ],
            parity=parity(best, comparisons, metric, controls),
            scores=score_tables(pd.concat([best, scaled]), metric, controls),
            scatter=scatter(best, metric),
            components=components(best, metric, controls),
            survival=survivals(table, comparisons, predictions, controls),
            choices=choices(table, twin(metric)),
            budgets=fairness.budgets(table, twin(metric), pretraining, manifest).to_dict("records"),
            warnings=fairness.warnings(
                table, {one[side] for one in comparisons for side in ("a", "b")}
            ),
            exploratory=(manifest or {}).get("exploratory", ""),
            unscored=missing,
            differences=(manifest or {}).get("differences", []),
            failures=failures(table),
            holes=holes(table).query("status == 'missing'").to_dict("records"),
            facts=facts(table, rows, manifest or {}),
            inf=math.inf,
        ),
        encoding="utf-8",
    )
    return Path(out)


def main_metric(
    table: pd.DataFrame, comparisons: Sequence[Mapping[str, Any]], headline: str | None = None
) -> str:
    """What the page is about: the first comparison's metric, the task's, or one that is there."""
    metrics = sorted(ok(table)["metric"].unique())
    asked = [comparison.get("metric", "test/macro_f1") for comparison in comparisons]
    usual = [*asked, headline, "test/macro_f1", "avg_bio"]
    usual += [m for m in metrics if m.startswith("test/")]
    return next((name for name in [*usual, *metrics] if name in metrics), "test/macro_f1")


def parity(
    best: pd.DataFrame,
    comparisons: Sequence[Mapping[str, Any]],
    metric: str,
    controls: Mapping[str, str],
) -> list[dict[str, Any]]:
    """How many labels one arm of a comparison needs to equal the other with its most, both ways.

    Controls have nothing to learn from labels.
    """
    from analysis.few_shot import cells_to_parity

    rivals = [one for one in comparisons if not {one["a"], one["b"]} & {*controls}]
    ways = [(one[x], one[y]) for one in rivals for x, y in ("ab", "ba")]
    found: list[Any] = []
    for a, b in dict.fromkeys(ways):
        try:
            rows = cells_to_parity(best, a, b, metric)
        except (LookupError, ValueError):
            continue  # one label share, one seed, or a metric without a direction: no curve
        found += rows.assign(a=a, b=b).to_dict("records")
    return found


def components(
    best: pd.DataFrame, metric: str, controls: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What of the scatter arms share, where there are three seeds or more; without controls."""
    from analysis.sensitivity import variance_components

    found = variance_components(best[~best["model"].isin(list(controls))], metric)
    return found[found["n_seeds"] > 2].to_dict("records")  # pyright: ignore[reportReturnType]


def survivals(
    table: pd.DataFrame,
    comparisons: Sequence[Mapping[str, Any]],
    predictions: Predictions | None,
    controls: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Whether verdicts survive other metrics, tests, corrections and seeds; without controls."""
    from analysis.multiverse import multiverse, survival

    found: list[Any] = []
    for asked in comparisons:
        if {asked["a"], asked["b"]} & {*controls}:
            continue
        try:
            rows = multiverse(table, **asked, predictions=predictions)
        except (LookupError, ValueError):
            continue  # told above as not answered
        found += survival(rows).assign(metric=rows["metric"].iloc[0]).to_dict("records")
    return found


def scatter(best: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """How far seeds scatter and whether in two groups, where an arm has seeds enough to say."""
    from analysis.sensitivity import UNIFORM, seed_scatter

    if values_of(best, metric).empty:
        return []
    found = seed_scatter(best, metric).dropna(subset=["bimodality", "two_groups"])
    groups = (found["two_groups"] > STRONG) | (found["bimodality"] > UNIFORM)
    return found.assign(groups=groups).to_dict("records")  # pyright: ignore[reportReturnType]


def score_tables(
    best: pd.DataFrame, metric: str, controls: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Mean and sd over seeds, a line a model, the best on top; controls say what they are.

    With several label shares a table per metric (the main one and accuracy) and a column a share;
    with one, a table with a column a metric.
    """
    tables = []
    measured = ok(best)
    measured = measured[~measured["metric"].str.startswith(("valid/", "chosen/"))]
    kind = measured["model"].map(controls)
    measured = measured.assign(
        model=measured["model"].where(kind.isna(), measured["model"] + " (" + kind + ")")
    )
    for (task, dataset), cells in measured.groupby(["task", "dataset"]):
        names = sorted(
            cells["metric"].unique(), key=lambda m: (m != metric, m != RESCALED + metric, m)
        )
        about = f"{task} of {dataset}"
        if cells["fraction"].nunique() == 1:
            heads = {name: pretty(name) + " ↓" * (better(cells, name) == "lower") for name in names}
            tables.append(score_table(cells, "metric", heads, names[0]) | {"about": about})
            continue
        for name in [
            name for name in names if name in {names[0], RESCALED + names[0], "test/accuracy"}
        ]:
            part = cells[cells["metric"] == name]
            heads = {share: f"{share:.0%} of labels" for share in sorted(part["fraction"].unique())}
            table = score_table(part, "fraction", heads, max(heads))
            tables.append(table | {"about": f"{pretty(name)}, {about}"})
    return tables


def score_table(
    cells: pd.DataFrame, by: str, heads: Mapping[Any, str], order: Any
) -> dict[str, Any]:
    """A column per value of `by`, models in the order of their means at the value `order`."""
    means = cells.groupby(["model", by])["value"].mean().unstack(by)
    lines = []
    metric = order if by == "metric" else cells["metric"].iloc[0]
    lowest_first = better(cells, metric) == "lower"
    for model in means.sort_values(order, ascending=lowest_first).index:
        own = cells[cells["model"] == model]
        values = [own.loc[own[by] == head, "value"].dropna() for head in heads]
        lines.append((model, [claims.mean_and_sd(some) for some in values]))
    return {"heads": list(heads.values()), "lines": lines}


def choices(table: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """What was chosen, label shares with the same choice in one line."""
    picked = chosen(table, metric)
    keys = ["task", "model", "dataset", "model_params", "n_candidates"]
    found = [
        {
            **dict(zip(keys, key, strict=True)),
            "shares": ", ".join(f"{share:.0%}" for share in rows["fraction"]),
            "valid": ", ".join(f"{mean:.3f}" for mean in rows["valid_mean"].dropna()),
        }
        for key, rows in picked.groupby(keys)
    ]
    apart = claims.told_apart([choice["model_params"] for choice in found])
    return [choice | parts for choice, parts in zip(found, apart, strict=True)]


def failures(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Trials that did not end well, counted by model, status and reason."""
    lost = table[table["status"] != "ok"].drop_duplicates("trial_id")
    lost = lost.assign(reason=lost["reason"].fillna("no reason given"))
    counts = lost.groupby(["model", "dataset", "status", "reason"], as_index=False).size()
    return counts.rename(columns={"size": "trials"}).to_dict("records")  # pyright: ignore[reportReturnType]


def facts(
    table: pd.DataFrame, rows: pd.DataFrame, manifest: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """How it was done, as names and values; the machine's name is left out."""
    told: list[tuple[str, str]] = []
    for dataset, part in table.groupby("dataset"):
        told.append((f"data set {dataset}", claims.about_dataset(part)))
        declared = manifest.get("datasets", {}).get(dataset, {})
        told.append((f"cells of {dataset}", declared.get("cells", "")))
    trials = table["trial_id"].nunique()
    told += [
        ("split", claims.listed(table["protocol"])),
        ("seeds", claims.listed(table["seed"])),
        ("label shares", ", ".join(f"{share:.0%}" for share in sorted(table["fraction"].unique()))),
        ("trials", f"{trials}, of them {table[table['status'] == 'ok']['trial_id'].nunique()} ok"),
    ]
    whys = rows["why"].str.replace(r" \(test share \d+%\)", "", regex=True)  # rounded, row by row
    for why in dict.fromkeys(zip(rows["test"], whys, strict=True)):
        told.append(("test", ": ".join(part for part in why if part)))
    if "code_version" in table.columns:
        told.append(("code version", claims.listed(table["code_version"])))
    told.append(("Python", platform.python_version()))
    plain = (str, int, float, bool)
    told += [(WORDS.get(k, k), str(v)) for k, v in manifest.items() if isinstance(v, plain)]
    elsewhere = {"hostname", "title", "sweep", "exploratory"}
    return [(name, value) for name, value in told if value and name not in elsewhere]
