"""Would it be another verdict, had one asked otherwise?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pandas as pd

from analysis.figures.style import pretty
from analysis.offered import OFFERED
from analysis.predictions import Predictions
from analysis.selection import twin
from analysis.significance import compare
from analysis.table import CELL, ok

OTHER_TESTS = tuple(name for name in OFFERED if name not in ("bayes", "mcnemar"))
"""Those of the same question: of scores, with a p-value."""
CORRECTIONS = ("benjamini-hochberg", "none")
PLANNED = "as asked"


def multiverse(
    table: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "test/macro_f1",
    *,
    margin: float | None = None,
    predictions: Predictions | None = None,
) -> pd.DataFrame:
    """One question asked in many ways: rows as `compare` has them, with a column `way`.

    The first way is as asked: `auto`, Holm's correction over the rows of this pair. Each other way
    changes one thing: the metric (settings stay chosen as they were; the margin is the same
    number), the test, the correction, or the seeds, each left out once. What a way cannot test has
    no row. It is a look at how much hangs on a choice, and no new evidence.

    After Steegen et al. 2016, doi:10.1177/1745691616658637. Raises as `compare` does.
    """
    both = table[table["model"].isin([a, b])]
    asked = {"metric": metric, "margin": margin, "select_on": twin(metric)}
    read = None if predictions is None else cache(predictions)
    found = [compare(table, a, b, **asked, predictions=read).assign(way=PLANNED)]
    for way, part, change in ways(both, metric):
        try:
            rows = compare(part, a, b, **asked | change, predictions=read)
        except (LookupError, ValueError):
            continue  # a metric that one arm lacks, a seed without which nothing is left
        answered = rows["p"].notna() | (rows["verdict"] == "identical")
        found.append(rows[answered].assign(way=way))
    return pd.concat(found, ignore_index=True)


def ways(both: pd.DataFrame, metric: str) -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Each way's name, its rows of the table, and what it asks otherwise."""
    part = metric.partition("/")[0] + "/" if "/" in metric else ""
    for other in sorted(set(ok(both)["metric"]) - {metric}):
        if other.startswith(part) and (part or "/" not in other):
            yield f"metric {pretty(other)}", both, {"metric": other}
    for test in OTHER_TESTS:
        yield f"test {test}", both, {"test": test}
    for correction in CORRECTIONS:
        yield f"correction {correction}", both, {"correction": correction}
    for seed in sorted(both["seed"].unique()):
        yield f"without seed {seed}", both[both["seed"] != seed], {}


def survival(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a data set and label share of `multiverse`: verdict, n_ways, n_agree, and `otherwise`.

    `otherwise` names each other verdict, and the ways that come to it.
    """
    found = []
    for cell, part in rows.groupby([*CELL, "a", "b"]):
        planned = part.loc[part["way"] == PLANNED, "verdict"].iloc[0]
        others = part[part["way"] != PLANNED]
        apart = others[others["verdict"] != planned].groupby("verdict")["way"].agg(", ".join)
        found.append(
            dict(zip([*CELL, "a", "b"], cell, strict=True))
            | {
                "verdict": planned,
                "n_ways": len(others),
                "n_agree": int((others["verdict"] == planned).sum()),
                "otherwise": "; ".join(f"{verdict}: {names}" for verdict, names in apart.items()),
            }
        )
    return pd.DataFrame(found)
