"""What is known of things, as plain data, for `gauntlet list`, `show`, `status` and `failures`."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from orchestrator.manifests import read_manifest, recorded_sweeps
from orchestrator.records import Ledger, is_id
from orchestrator.storage import opened
from trainables import catalog
from trainables.protocols import CAPABILITIES

Facts = dict[str, Any]


def listing(kind: str) -> list[Facts]:
    """One line of facts for everything of a kind."""
    if kind == "sweeps":
        from orchestrator.known_sweeps import find_sweep, sweep_names

        sweeps = [find_sweep(name) for name in sweep_names()]
        return [{"name": s.name, "task": s.task, "summary": s.title} for s in sweeps]
    if kind == "models":
        return [model_facts(name) for name in catalog.names("models")]
    found = {name: catalog.find(kind, name) for name in catalog.names(kind)}  # type: ignore[arg-type]
    return [{"name": name, "summary": thing.summary} for name, thing in found.items()]


def model_facts(name: str) -> Facts:
    """A model's card, and what it offers."""
    cls, card = catalog.find("models", name.rpartition("+")[2]), catalog.card(name)
    methods = {c.__name__: [m for m in vars(c) if not m.startswith("_")] for c in CAPABILITIES}
    offers = [n for n, names in methods.items() if all(hasattr(cls, m) for m in names)]
    return {
        "name": name,
        "offers": ", ".join(offers),
        "wants": card.wants,
        "weights": weights_of(name, cls),
        "summary": card.summary,
        "version": catalog.version(name),
        "extra": card.extra or "",
        "packages": ", ".join(card.packages),
        "licence": card.licence,
        "citation": card.citation,
    }


BRIEF = ("name", "offers", "wants", "weights", "summary", "task")
"""What a listing says of each; `--json` and `show` say the rest."""


def brief(entries: list[Facts]) -> list[Facts]:
    """The columns of a listing that fit a terminal."""
    return [{key: facts[key] for key in BRIEF if key in facts} for facts in entries]


def weights_of(name: str, cls: Any) -> str:
    """The published weights that a model can start from, and which of them are here; likewise the
    checkout that it runs from."""
    from orchestrator.models_cli import published

    absent = {v: bool(published(name, v).missing()) for v in getattr(cls, "published", {})}
    if hasattr(cls, "home"):
        absent["checkout"] = bool(cls.home.missing())
    return ", ".join(f"{v} ({'absent' if lacking else 'here'})" for v, lacking in absent.items())


def everything(name: str, storage: str | Path) -> dict[str, Facts]:
    """All that is known under a name, by what kind of thing it is.

    Raises LookupError when nothing has that name.
    """
    from orchestrator.known_sweeps import sweep_names

    found: dict[str, Facts] = {}
    if all(part in catalog.names("models") for part in name.split("+")):
        cls = catalog.find("models", name.rpartition("+")[2])
        card = catalog.card(name)
        found["model"] = model_facts(name) | {
            "hyperparameters": {f: default(cls, f) for f in catalog.fields(cls)},
            "cpus": card.cpus,
            "gpus": card.gpus,
            **in_words(cls),
        }
    if name in catalog.names("tasks"):
        cls = catalog.find("tasks", name)
        parameters = {f: default(cls, f) for f in catalog.fields(cls)}
        needs, headline = cls.needs.__name__, cls.headline
        found["task"] = {"summary": cls.summary, "needs": needs, "headline": headline}
        found["task"] |= {"version": cls.version, "parameters": parameters}
        found["task"] |= in_words(cls)
    if name in catalog.names("datasets"):
        source = catalog.dataset(name)
        keys = ("summary", "citation", "licence", "__doc__")
        facts = {k.replace("__doc__", "about"): getattr(source, k, "") for k in keys}
        more = ("values", "label_key", "batch_key", "split", "unknown")
        told = {k: value for k in more if (value := getattr(source, k, None))}
        facts |= {k: list(v) if isinstance(v, tuple) else v for k, v in told.items()}
        found["data set"] = {**facts, "sha256": identity(source)}
    if name in sweep_names():
        found["sweep"] = sweep_facts(name, storage)
    if not found and is_id(name) and (record := Ledger(opened(storage)).last(name)) is not None:
        found["trial"] = record
    if not found:
        every = [n for kind in ("models", "tasks", "datasets") for n in catalog.names(kind)]
        raise LookupError(
            catalog.unknown("model, task, data set, sweep or trial", name, every + sweep_names())
        )
    return found


def in_words(cls: Any) -> Facts:
    """What a class says of itself, and below each field of that."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, below in itertools.pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                found[name] = " ".join(text.split())
    meaning = {name: found[name] for name in catalog.fields(cls) if name in found}
    return {"about": inspect.getdoc(cls)} | ({"meaning": meaning} if meaning else {})


def sweep_facts(name: str, storage: str | Path) -> Facts:
    """A sweep's plan; where its cells are not here, what it asks, of what, and how to get them."""
    from orchestrator.fidelity import origins
    from orchestrator.known_sweeps import find_sweep
    from orchestrator.planning import plan

    try:
        return plan(name, storage).summary()
    except (LookupError, ValueError) as lacking:
        sweep = find_sweep(name)
        datasets = [getattr(source, "name", source) for source in sweep.datasets]
        what = {"sweep": name, "title": sweep.title, "task": sweep.task, "datasets": datasets}
        size = {"seeds": list(sweep.seeds), "fractions": list(sweep.fractions)}
        told = {"weights": origins(sweep), "differences": [vars(d) for d in sweep.differences]}
        return {**what, "models": list(sweep.models), **size, "not planned": str(lacking), **told}


def identity(source: Any) -> str:
    """A data set's sha256, or why it is not known yet."""
    try:
        return source.sha256
    except LookupError as error:
        return str(error)


def default(cls: Any, field: str) -> Any:
    """A field's default, or "required"."""
    value = getattr(cls, field, "required")
    return list(value) if isinstance(value, tuple) else value


def statuses(storage: Path, sweep: str | None) -> list[Facts]:
    """For each sweep, how many trials are planned and how they stand."""
    found = []
    for name in [sweep] if sweep else recorded_sweeps(storage):
        trials = read_manifest(storage, name)["trials"]
        counts = Counter(record["status"] for record in Ledger(storage).current(trials))
        missing = len(trials) - sum(counts.values())
        found.append({"sweep": name, "planned": len(trials), **counts, "missing": missing})
    return found


def failures(storage: Path, sweep: str | None) -> list[Facts]:
    """Trials that did not succeed, grouped by outcome and reason, the largest group first."""
    groups: dict[tuple[str, str, str], list[Facts]] = {}
    for name in [sweep] if sweep else recorded_sweeps(storage):
        for record in Ledger(storage).current(read_manifest(storage, name)["trials"]):
            if record["status"] != "ok":
                key = name, record["status"], record["reason"]
                groups.setdefault(key, []).append(record)
    found = [
        {
            "sweep": name,
            "status": status,
            "reason": reason,
            "trials": len(records),
            "models": sorted({record["trial"]["model"] for record in records}),
            "example": records[0]["trial_id"],
            "trace": records[0]["trace"],
        }
        for (name, status, reason), records in groups.items()
    ]
    return sorted(found, key=lambda group: -group["trials"])
