"""How a paper's sweep differs from the paper: declared beside the sweep, shown with its plan."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.sweep import Sweep


@dataclass(frozen=True)
class Difference:
    """One item in which a sweep is not as the paper has it."""

    item: str
    paper: str
    """Choice of the authors, in words."""
    sweep: str
    """Choice of the sweep, in words."""
    instead: str = ""
    """Change of the sweep that asks for the paper's way, such as "arms=NAME"; "" for none."""


@dataclass(frozen=True)
class Variant:
    """An arm that runs only where it is asked for, by `arms=NAME`."""

    like: str
    """Arm whose comparisons and published numbers are those of this arm too."""
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """Value of a task's parameter that nobody but the user can know."""

    words: str
    """What to give, and how; the plan is refused with these words until it is given."""


@dataclass(frozen=True)
class Origin:
    """Where the weights that an arm starts from come from."""

    made: str
    """"published" (by the authors of a model), "file" (of the user), "here" (by a trial of this
    sweep), "trial" (of another sweep), or "none" (a fresh network)."""
    name: str = ""
    """Name of published weights, path of a file, or "trial:<id>"."""
    dataset: str = ""
    """Data set of the pretraining here; "" is the data set of the trial itself."""
    seed: int | None = None
    params: Mapping[str, Any] | None = None
    """Hyperparameters of the pretraining here."""

    @property
    def words(self) -> str:
        """Where the weights come from, for tables and sentences."""
        if self.made == "here":
            epochs = (self.params or {}).get("epochs")
            facts = [self.dataset or "the trial's cells", f"{epochs} epochs" * bool(epochs)]
            return f"pretraining here ({', '.join(filter(None, facts))})"
        kinds = {"none": "fresh network", "published": "published weights"}
        kinds |= {"file": "file", "trial": "earlier pretraining"}
        return f"{kinds[self.made]} ({self.name})" if self.name else kinds[self.made]


def origins(sweep: Sweep) -> dict[str, dict[str, Any]]:
    """Origin of the weights of each arm that has such a hyperparameter, ready for JSON."""
    by_arm = {arm: origin(arm, space) for arm, space in sweep.models.items()}
    return {
        arm: {k: v for k, v in asdict(one).items() if v not in ("", None)} | {"words": one.words}
        for arm, one in by_arm.items()
        if one is not None
    }


def origin(arm: str, space: Mapping[str, Any]) -> Origin | None:
    """Origin of one arm's weights; None for a model without weights."""
    from orchestrator.configurations import model_of
    from orchestrator.sweep import Pretraining, find_dataset
    from trainables import catalog
    from trainables.networks import MADE_BY
    from trainables.networks.weights import is_path

    model = catalog.find("models", model_of(arm).partition("+")[0])
    if "weights" not in catalog.fields(model):
        return None
    given = space.get("weights", space.get("embedder.weights", model.weights))
    if isinstance(given, Pretraining):
        dataset = "" if given.dataset is None else find_dataset(given.dataset).name
        plain = json.loads(json.dumps(dict(given.params), default=str))
        return Origin("here", dataset=dataset, seed=given.seed, params=plain)
    if not isinstance(given, str):  # a grid: several origins
        return None
    if given == "none":
        return Origin("none")
    if given.startswith(MADE_BY):
        return Origin("trial", name=given)
    return Origin("file" if is_path(given) else "published", name=given)


def refuse_unanswered(sweep: Sweep) -> None:
    """Raise ValueError with the question of a task parameter that was not answered."""
    for key, value in sweep.task_params.items():
        if isinstance(value, Question):
            raise ValueError(f"the sweep {sweep.name!r} needs task.{key}: {value.words}")


def with_arms(sweep: Sweep, named: Any) -> Sweep:
    """The sweep with some of its variants as arms, and the comparisons of the arms they are like.

    "scbert/own" names "scbert/own/batch_8" too. Raises LookupError for a name that is no variant.
    """
    arms: list[str] = []
    for name in [named] if isinstance(named, str) else named:
        named_so = [arm for arm in sweep.variants if arm == name or arm.startswith(f"{name}/")]
        if not named_so:
            variants = ", ".join(sweep.variants) or "none"
            raise LookupError(
                f"the sweep {sweep.name!r} has no further arm {name!r}; it has: {variants}"
            )
        arms += named_so
    stands_in = {sweep.variants[arm].like: arm for arm in arms}
    more = [
        replace(one, a=stands_in.get(one.a, one.a), b=stands_in.get(one.b, one.b))
        for one in sweep.analysis
        if {one.a, one.b} & set(stands_in)
    ]
    models = {**sweep.models, **{arm: sweep.variants[arm].params for arm in arms}}
    return replace(sweep, models=models, analysis=[*sweep.analysis, *more])


def stand_ins(sweep: Sweep) -> dict[str, str]:
    """The variants among a sweep's arms, and the arm that each is like."""
    return {arm: one.like for arm, one in sweep.variants.items() if arm in sweep.models}


def as_run(sweep: Sweep, arms: Collection[str]) -> Sweep:
    """The sweep with those of its variants that are among some arms."""
    return with_arms(sweep, [arm for arm in sweep.variants if arm in arms])


def table(sweeps: Mapping[str, Sweep]) -> str:
    """Markdown table of the differences that some sweeps declare, each with its sweeps."""
    whose: dict[Difference, list[str]] = {}
    for name, sweep in sweeps.items():
        for one in sweep.differences:
            whose.setdefault(one, []).append(f"`{name.rpartition('/')[2]}`")
    lines = ["| item | in the paper | here | sweeps |", "|---|---|---|---|"]
    for one, names in whose.items():
        way = f"; the paper's way: `{one.instead}`" if one.instead else ""
        lines.append(f"| {one.item} | {one.paper} | {one.sweep}{way} | {', '.join(names)} |")
    return "\n".join(lines)


def page() -> str:
    """The tables of docs/fidelity.md: a section for each paper."""
    from orchestrator.known_sweeps import find_sweep, sweep_names

    papers: dict[str, dict[str, Sweep]] = {}
    for name in sweep_names():
        sweep = find_sweep(name)
        if sweep.differences:
            papers.setdefault(name.partition("/")[0], {})[name] = sweep
    return "\n\n".join(f"## {paper}\n\n{table(sweeps)}" for paper, sweeps in papers.items())


if __name__ == "__main__":
    print(page())
