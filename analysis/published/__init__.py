"""What the papers print, as a table a sweep: `published("boiarsky2023/table2")`.

The files lie beside this one, named as the sweeps are, with a row a number. Sources are the text
of each paper and the outputs that its authors' notebooks keep, by cell: for Boiarsky et al. 2023
github.com/clinicalml/sc-foundation-eval at 1332b34, for Kedzierska et al. 2023
github.com/microsoft/zero-shot-scfoundation at d1091e8. Neither paper gives its figures in numbers
elsewhere, so a cell that is not in a file was not published. `precision` says how many digits a
number has, and how the missing ones were found where they could be.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

HERE = Path(__file__).parent
T_OF_TEN = 2.262
"""The paper's t(0.975, 9), which it takes whatever the number of runs."""


def published_sweeps() -> list[str]:
    """The sweeps of which something is published in numbers."""
    return sorted(path.relative_to(HERE).with_suffix("").as_posix() for path in HERE.rglob("*.csv"))


def published(sweep: str) -> pd.DataFrame:
    """What is published of a sweep's figure or table: a row a number; no rows where nothing is.

    dataset ("" for all of them together), fraction, model, against (the other arm of a test),
    metric, statistic, value, decimals (how many are printed), run, n, source, precision. The
    statistics: "run" (one run's value; `run` is the authors' seed), "mean" of `n` runs,
    "ci95_halfwidth" (see `interval_as_published`), "median over data sets", and "pvalue" and
    "tstat" of a Student test.
    """
    import pandas as pd

    columns = "dataset fraction model against metric statistic value run n source precision".split()
    path = HERE / f"{sweep}.csv"
    if path.exists():
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    else:
        table = pd.DataFrame(columns=columns, dtype=str)
    decimals = [len(value.partition("e")[0].partition(".")[2]) for value in table["value"]]
    table.insert(columns.index("run"), "decimals", decimals)
    for column in ("fraction", "value", "n"):
        table[column] = pd.to_numeric(table[column])
    return table


def also_of_variants(published: pd.DataFrame, like: Mapping[str, str]) -> pd.DataFrame:
    """The published numbers, and once more those of each arm that a variant stands in for.

    `like` has the arm of each variant, by the name of the variant.
    """
    import pandas as pd

    parts = [published]
    for variant, arm in like.items():
        rows = published[(published["model"] == arm) | (published["against"] == arm)]
        parts.append(rows.replace({"model": {arm: variant}, "against": {arm: variant}}))
    return pd.concat(parts, ignore_index=True)


def interval_as_published(values: np.ndarray) -> float:
    """Half of what Boiarsky et al. print as a 95 % interval of a mean: 2.262 * sd / sqrt(n).

    Their sd divides by n where it should by n - 1, so the interval is 5 % too narrow at n = 10
    (create_figures_and_tables.ipynb and collate_final_results_finetune.ipynb).

    >>> import numpy as np
    >>> round(interval_as_published(np.array([0.7, 0.8])), 4)
    0.08
    """
    import numpy as np

    return float(np.std(values) / np.sqrt(len(values)) * T_OF_TEN)


def sd_of_interval(halfwidth: float, n: int) -> float:
    """The sample sd (n - 1) behind such an interval.

    >>> round(sd_of_interval(0.07997, 2), 4)
    0.0707
    """
    return float(halfwidth / T_OF_TEN * n / (n - 1) ** 0.5)
