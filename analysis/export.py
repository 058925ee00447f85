"""Tables for papers: LaTeX (booktabs) of comparisons and of results."""

from __future__ import annotations

import pandas as pd

from analysis.figures.style import pretty
from analysis.table import ok

MINUS = "$-$"


def comparison_latex(rows: pd.DataFrame) -> str:
    """Rows of `compare`, a line each: who, where, the difference with its interval, p, verdict."""
    lines = pd.DataFrame(
        {
            "A": words(rows["a"]),
            "B": words(rows["b"]),
            "data set": words(rows["dataset"]),
            "labels": [rf"{share:.0%}".replace("%", r"\%") for share in rows["fraction"]],
            "metric": words(rows["metric"].map(pretty)),
            "n": rows["n"].astype(str),
            "A $-$ B": [signed(value) for value in rows["difference"]],
            r"95\,\% interval": [
                "--" if pd.isna(low) else f"[{signed(low)}, {signed(high)}]"
                for low, high in zip(rows["ci_low"], rows["ci_high"], strict=True)
            ],
            "$p$": [probability(value) for value in rows["p"]],
            r"$p$ adjusted": [probability(value) for value in rows["p_adjusted"]],
            "verdict": rows["verdict"],
        }
    )
    return booktabs(lines)


def results_latex(table: pd.DataFrame) -> str:
    """Mean and sd over seeds: a line a metric, data set and model, a column a label share."""
    measured = ok(table).dropna(subset="value")
    keys = ["metric", "dataset", "model"]
    cells = measured.groupby([*keys, "fraction"])["value"].agg(["mean", "std", "size"])
    told = [
        f"{cell['mean']:.3f}" + ("" if pd.isna(cell["std"]) else rf" $\pm$ {cell['std']:.3f}")
        for cell in cells.to_dict("records")
    ]
    wide = pd.Series(told, index=cells.index, dtype=object).unstack("fraction").fillna("--")
    wide.columns = [f"{share:.0%}".replace("%", r"\%") for share in wide.columns]
    lines = wide.reset_index()
    lines["metric"] = lines["metric"].map(pretty)
    for key in keys:
        lines[key] = words(lines[key])
    return booktabs(lines.rename(columns={"dataset": "data set"}))


def booktabs(lines: pd.DataFrame) -> str:
    """A tabular whose words are LaTeX already; it wants \\usepackage{booktabs}."""
    return str(lines.to_latex(index=False, escape=False))


def words(column: pd.Series) -> list[str]:
    r"""Text that LaTeX prints as it stands.

    >>> words(pd.Series(["pca+probe", "scbert/no_gene2vec", "100%"]))
    ['pca+probe', 'scbert/no\\_gene2vec', '100\\%']
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: "\\" + character for character in "&%$#_{}"}
    return ["".join(special.get(c, c) for c in str(text)) for text in column]


def signed(value: float) -> str:
    """A number with its sign, three decimals.

    >>> signed(-0.0123), signed(0.5)
    ('$-$0.012', '+0.500')
    """
    return "--" if pd.isna(value) else f"{value:+.3f}".replace("-", MINUS)


def probability(value: float) -> str:
    """A p-value to two digits, small ones as a power of ten.

    >>> probability(0.034), probability(2e-07)
    ('0.034', '$2.0 \\\\times 10^{-7}$')
    """
    if pd.isna(value):
        return "--"
    if value >= 0.001:
        return f"{value:.2g}"
    digits, power = f"{value:.1e}".split("e")
    return rf"${digits} \times 10^{{{int(power)}}}$"
