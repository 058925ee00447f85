"""Numbers put into words: the sentences of a report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.figures.style import pretty
from analysis.looks import Look

VERBS = {
    "better": "beats",
    "worse": "loses to",
    "equivalent": "is equivalent to",
    "identical": "is identical to",
}
MINUS = "\N{MINUS SIGN}"
MANY = 3
"""Data sets that a comparison may have before they share a sentence."""


def sentences(rows: pd.DataFrame) -> list[dict[str, str]]:
    """One plain sentence per comparison and data set, with the verdict that colours it.

    Of a comparison on more than `MANY` data sets, one of them all.
    """
    told = []
    keys = ["task", "dataset", "metric", "a", "b"]
    sets = rows.groupby(["task", "metric", "a", "b"])["dataset"].transform("nunique")
    for key, part in rows[sets > MANY].groupby(["task", "metric", "a", "b"], sort=False):
        _, metric, a, b = map(str, key)
        told.append(over_datasets(part, a, b, pretty(metric)))
    for key, part in rows[sets <= MANY].groupby(keys, sort=False):
        task, dataset, metric, a, b = map(str, key)
        part = part.sort_values("fraction")
        where = f"on {dataset}" + (f" ({task})" if rows["task"].nunique() > 1 else "")
        kinds = part["verdict"].unique()
        told.append(
            {
                "verdict": kinds[0] if len(kinds) == 1 else "mixed",
                "claim": f"{claim(part, a, b)} {where}.",
                "detail": detail(part.iloc[-1], pretty(metric), one=len(part) == 1),
            }
        )
    return told


def over_datasets(part: pd.DataFrame, a: str, b: str, name: str) -> dict[str, str]:
    """Who beats whom on how many data sets; where label shares part company, it is "mixed"."""
    by_set = part.groupby("dataset", sort=False)["verdict"]
    kinds = by_set.agg(lambda verdicts: verdicts.iloc[0] if verdicts.nunique() == 1 else "mixed")
    words = {verdict: f"{a} {verb} {b}" for verdict, verb in VERBS.items()}
    words |= {
        "undecided": f"undecided between {a} and {b}",
        "mixed": f"{a} and {b}: by label share",
    }
    clauses = []
    for verdict, said in words.items():
        names = list(kinds.index[kinds == verdict])
        if not names:
            continue
        more = f" and {len(names) - MANY} more" if len(names) > MANY + 1 else ""
        which = ", ".join(names[:MANY] if more else names) + more
        clauses.append(f"{said} on {len(names)} of {len(kinds)} data sets ({which})")
    most = part[part["fraction"] == part["fraction"].max()]
    low, high = signed(most["difference"].min()), signed(most["difference"].max())
    shares = part["fraction"].nunique() > 1
    share = f" with {most['fraction'].iloc[0]:.0%} of the labels" if shares else ""
    clauses[0] = clauses[0].replace("undecided between", "Undecided between", 1)
    return {
        "verdict": kinds.iloc[0] if kinds.nunique() == 1 else "mixed",
        "claim": f"{'; '.join(clauses)}.",
        "detail": f"Differences in {name} are {low} to {high}{share}; each is in the table below.",
    }


def claim(part: pd.DataFrame, a: str, b: str) -> str:
    """Who beats whom, and at how many of the label shares.

    >>> part = pd.DataFrame({"verdict": ["better", "undecided"], "fraction": [0.1, 1.0]})
    >>> claim(part, "logreg", "pca")
    'logreg beats pca at 1 of 2 label shares (10%); undecided at 1 of 2 (100%)'
    """
    counts = part["verdict"].value_counts()
    clauses = []
    for verdict in (*VERBS, "undecided"):
        if verdict not in counts:
            continue
        verb = VERBS.get(verdict)
        if len(part) == 1:
            return f"{a} {verb} {b}" if verb else f"Undecided between {a} and {b}"
        shares = part.loc[part["verdict"] == verdict, "fraction"]
        which = "" if len(shares) == len(part) else f" ({', '.join(f'{s:.0%}' for s in shares)})"
        at = f"at {len(shares)} of {len(part)}"
        at += "" if clauses else " label shares"
        if verb:
            clauses.append(f"{verb if clauses else f'{a} {verb}'} {b} {at}{which}")
        else:
            clauses.append(
                f"{'undecided' if clauses else f'Undecided between {a} and {b}'} {at}{which}"
            )
    return "; ".join(clauses)


def detail(row: pd.Series, name: str, *, one: bool) -> str:
    """The numbers behind a sentence, at the largest label share."""
    if row["verdict"] == "identical":
        return f"{row['why'][0].upper()}{row['why'][1:]}: {row['n']} of them, {name} alike."
    if math.isnan(row["p"]):
        apart = f"{name} {signed(row['difference'])}, not" if row["n"] else "not"
        text = f"{apart} tested: {row['note']}."
        return text[0].upper() + text[1:]
    low, high = signed(row["ci_low"]), signed(row["ci_high"])
    share = "all labels" if row["fraction"] == 1 else f"{row['fraction']:.0%} of the labels"
    at = "" if one and row["fraction"] == 1 else f" with {share}"
    text = f"{name} {signed(row['difference'])} [{low}, {high}]{at}, {row['n']} seeds"
    if row["verdict"] == "undecided":
        needed = row["seeds_needed"]
        text += f", p = {p_value(row['p_adjusted'])} after Holm's correction"
        if row["p"] < 0.05:
            text += f"; asked alone, p = {p_value(row['p'])} would have decided it"
        if pd.notna(needed):
            text += f"; a difference of this size takes about {needed} seeds to find"
        elif row["note"]:
            text += f"; {row['note']}"
    return text[0].upper() + text[1:] + "."


def looks(rows: pd.DataFrame, stopping: Mapping[str, Any] | None) -> list[str]:
    """How often was looked at what, and how sure each look had to be; nothing without a rule."""
    if not stopping or not len(rows):
        return []
    planned = tuple(stopping["looks"])
    levels = [Look(i, planned).level() for i in range(1, len(planned) + 1)]
    at = ", ".join(f"{n} (p below {level:.2g})" for n, level in zip(planned, levels, strict=True))
    counts: Any = rows.fillna({"look": 0}).groupby(["look", "verdict"], sort=True).size()
    ends = [
        f"{n} {verdict} at look {look} of {len(planned)}" if look else f"{n} not looked at"
        for (look, verdict), n in counts.items()
    ]
    return [
        f"Seeds were added where a comparison was undecided, with looks at this many seeds: {at}.",
        f"{stopping['rule']}. The levels are those of one question alone.",
        f"Looks spent: {', '.join(ends)}.",
    ]


def notes(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """What to know of the rows, each note once, with the rows it is about.

    Data set, metric and label share are named where there are several.
    """
    several = [key for key in ("dataset", "metric") if rows[key].nunique() > 1]
    told: dict[str, list[str]] = {}
    noted = rows[rows["note"] != ""]
    for key, part in noted.groupby(["note", "a", "b", *several], sort=False):
        note, a, b, *_ = map(str, key)
        named = part.iloc[0].to_dict() | {"metric": pretty(part["metric"].iloc[0])}
        shares = ", ".join(f"{share:.0%}" for share in part["fraction"])
        about = [f"{a} and {b}", *(named[name] for name in several)]
        about += [f"{shares} of labels"] if rows["fraction"].nunique() > 1 else []
        told.setdefault(note, []).append(", ".join(about))
    return [(note, "; ".join(about)) for note, about in told.items()]


def about_dataset(rows: pd.DataFrame) -> str:
    """How many cells and cell types, and the start of the content hash."""
    parts = []
    sizes = ok_sizes(rows)
    if sizes:
        parts.append(sizes)
    if "n_classes" in rows.columns and rows["n_classes"].notna().any():
        parts.append(f"{int(rows['n_classes'].max())} cell types")
    if "dataset_sha256" in rows.columns:
        parts += [f"sha256 {sha[:12]}" for sha in rows["dataset_sha256"].dropna().unique()]
    return ", ".join(parts)


def ok_sizes(rows: pd.DataFrame) -> str:
    """Cells given and held out, at the largest label share."""
    known = rows.dropna(subset=["n_eval"])
    if known.empty:
        return ""
    largest = known.sort_values("fraction").iloc[-1]
    if not largest["n_train"] > 0:
        return f"{largest['n_eval']:,.0f} cells, all scored"
    every = largest["n_eval"] + largest["n_train"] / largest["fraction"]
    return f"{every:,.0f} cells, {largest['n_eval']:,.0f} of them to test on"


def listed(values: pd.Series) -> str:
    """The different values in order, runs of whole numbers as a range.

    >>> listed(pd.Series([2, 0, 1, 1])), listed(pd.Series(["b", "a"]))
    ('0 to 2', 'a, b')
    """
    found = sorted(values.dropna().unique().tolist())
    whole = all(isinstance(value, int) for value in found)
    if whole and len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"{found[0]} to {found[-1]}"
    return ", ".join(map(str, found))


def mean_and_sd(values: pd.Series) -> str:
    """A cell of the table of scores; a dash where there is none.

    >>> mean_and_sd(pd.Series([0.7, 0.8])), mean_and_sd(pd.Series([0.7]))
    ('0.750 ± 0.071', '0.700')
    """
    if values.empty:
        return "–"  # noqa: RUF001
    mean = round(values.mean(), 3) + 0.0  # never a minus zero
    return f"{mean:.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def signed(value: float, digits: int = 3) -> str:
    """With its sign, a real minus, and never a minus zero.

    >>> signed(0.0512), signed(-0.0001), signed(float("inf"))
    ('+0.051', '0.000', '+∞')
    """
    if math.isnan(value):
        return "–"  # noqa: RUF001
    if math.isinf(value):
        return "+∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def p_value(value: float) -> str:
    """Three digits, and a bound below them.

    >>> p_value(0.0213), p_value(0.00002)
    ('0.021', '< 0.001')
    """
    if math.isnan(value):
        return "–"  # noqa: RUF001
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def settings(params: Mapping[str, Any]) -> str:
    """As people write them.

    >>> settings({"C": 1.0, "penalty": "l1"}), settings({})
    ('C = 1.0, penalty = l1', 'none')
    """
    return ", ".join(f"{name} = {value}" for name, value in params.items()) or "none"


def told_apart(params: Sequence[str], most: int = 4) -> list[dict[str, dict[str, Any]]]:
    """Settings, as canonical JSON, each parted into those to "tell" and the "rest".

    Told is what not all that have it set alike; a model with few settings has all of them told.

    >>> told_apart(['{"C": 1.0}'])
    [{'told': {'C': 1.0}, 'rest': {}}]
    """
    every: list[dict[str, Any]] = [json.loads(text) for text in params]
    values: dict[str, set[str]] = {}
    for one in every:
        for name, value in one.items():
            values.setdefault(name, set()).add(json.dumps(value))
    parted = []
    for one in every:
        told = {k: v for k, v in one.items() if len(one) <= most or len(values[k]) > 1}
        parted.append({"told": told, "rest": {k: v for k, v in one.items() if k not in told}})
    return parted


def duration(seconds: float) -> str:
    """In the unit that keeps it short.

    >>> duration(42.4), duration(5400)
    ('42 s', '1.5 h')
    """
    if math.isnan(seconds):
        return "–"  # noqa: RUF001
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


FILTERS = {
    "pretty": pretty,
    "signed": signed,
    "p_value": p_value,
    "settings": settings,
    "duration": duration,
    "labels": lambda cells: "not with any" if math.isinf(cells) else f"{cells:,.0f}",
    "hours": lambda value: duration(value * 3600),
    "number": lambda value: "–" if pd.isna(value) else f"{value:g}",  # noqa: RUF001
    "share": lambda value: f"{value:.0%}",
}
