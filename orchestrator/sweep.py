"""A sweep: grids x draws x data sets x fractions x seeds, spelled out before anything is run."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.configurations import Tried, expanded, model_of
from orchestrator.fidelity import Difference, Variant, refuse_unanswered, with_arms

if TYPE_CHECKING:
    from trainables.protocols import Dataset
    from trainables.trial import Trial


FIRST = 10
"""Draws that an adaptive search makes at random, before it has seen enough to suggest any."""
RULE = "5 % spent over the looks by Lan & DeMets (1983), like O'Brien & Fleming; Holm over all"
"""How `analysis.looks` judges a sweep to which seeds are added."""


@dataclass(frozen=True)
class Comparison:
    """A question settled before the first trial: is `a` better than `b` on `metric`?

    Inside +- `margin` (in units of the metric) the two count as equivalent.
    """

    a: str
    b: str
    metric: str = "test/macro_f1"
    margin: float | None = None


@dataclass(frozen=True)
class Pretraining:
    """Weights that a `pretraining` trial makes before the trials that start from them.

    `dataset` and `seed` are those of the trial that uses the weights, unless given.
    """

    model: str
    params: Mapping[str, Any] = field(default_factory=dict)
    dataset: str | Dataset | None = None
    seed: int | None = None
    task_params: Mapping[str, Any] | None = None

    def step(self, sweep: Sweep) -> Sweep:
        """The sweep's pretraining stage: by default split as the sweep itself splits, so that the
        cells that are tested on are in no one's training cells."""
        as_it_splits = {k: v for k, v in sweep.task_params.items() if k == "protocol"}
        params = as_it_splits if self.task_params is None else self.task_params
        return dataclasses.replace(sweep, task="pretraining", task_params=params)


@dataclass(frozen=True)
class Sweep:
    """What to run, as a figure's caption would say it.

    `models` maps a model's name to its hyperparameters: constants, `grid(...)` (all are tried) or
    distributions (`draws` samples, the same ones for every data set, fraction and seed). Two arms
    of one model are told apart behind a slash: "scbert" and "scbert/no_gene2vec".
    """

    title: str
    task: str
    models: Mapping[str, Mapping[str, Any]]
    datasets: Sequence[str | Dataset]
    seeds: Iterable[int] = range(5)
    fractions: Sequence[float] = (1.0,)
    draws: int = 1
    task_params: Mapping[str, Any] = field(default_factory=dict)
    analysis: Sequence[Comparison] = ()
    differences: Sequence[Difference] = ()
    """What is not as the paper has it; shown with plans, runs and reports."""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    """Arms that run only where `arms=NAME` asks for them."""
    small: Sweep | None = None
    """The same question at a size for two cores and a few minutes: `scale=small` asks for it."""
    max_seeds: int = 0
    """Seeds are added, for undecided comparisons alone, up to so many; 0: none is. See `until`."""
    search: str = ""
    """"optuna": of the `draws`, all but the first are suggested one after another, each arm, data
    set and fraction by its own validation scores (see `adaptive`); "": all are drawn at random."""
    stopper: str = ""
    """"asha": settings that fall behind on validation cells are stopped early, as `pruned` (see
    `early`); "": every trial runs to its end."""
    processes: int = 1
    """How many processes, each with a GPU where there are any, share the training of a trial whose
    model lets them. The batch is the hyperparameter and stays as it is, so this decides no result
    and is in no id."""
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.processes, int) or self.processes < 1:
            raise ValueError(f"processes={self.processes!r} is no number of processes: 1, 2, ...")

    def trials(
        self, searched: Mapping[tuple[str, str, float], Sequence[Mapping[str, Any]]] | None = None
    ) -> list[Trial]:
        """Every trial, data set by data set, each after the pretraining that it starts from.

        `searched`: what a search has added, by arm, data set and fraction; before its first
        suggestion there are `FIRST` draws.

        Raises LookupError for names nobody knows and ValueError for an empty design, or for two
        arms that are one.
        """
        refuse_unanswered(self)
        sources = [find_dataset(source) for source in self.datasets]
        refuse_equal_names(self.name, [*sources, *map(find_dataset, self.pretraining_datasets())])
        seeds = list(self.seeds)
        for what, values in {"models": self.models, "datasets": sources, "seeds": seeds}.items():
            if not values:
                raise ValueError(
                    f"the sweep {self.name!r} has no {what}, so there is nothing to run"
                )
        draws = min(self.draws, FIRST) if self.search else self.draws
        drawn = {arm: expanded(arm, space, draws) for arm, space in self.models.items()}
        trials: dict[str, Trial] = {}
        for source, fraction in itertools.product(sources, self.fractions):
            added = {arm: (searched or {}).get((arm, source.name, fraction), ()) for arm in drawn}
            configurations = [
                (arm, params)
                for arm, space in self.models.items()
                for params in (*drawn[arm], *({**space, **setting} for setting in added[arm]))
            ]
            for trial in self._with_seeds(configurations, source, fraction, seeds):
                known = trials.setdefault(trial.id, trial)  # a grid may name one twice
                if known.arm != trial.arm and trial.task == self.task:
                    raise ValueError(
                        f"the arms {known.shown!r} and {trial.shown!r} of the sweep {self.name!r}"
                        " are the same trials; give them different hyperparameters"
                    )
        return list(trials.values())

    def _with_seeds(
        self,
        configurations: Sequence[tuple[str, Mapping[str, Any]]],
        source: Dataset,
        fraction: float,
        seeds: Sequence[int],
    ) -> Iterator[Trial]:
        """The trials of every seed; what seeds share is looked up once."""
        alone: dict[int, Trial] = {}
        for seed, (n, (arm, params)) in itertools.product(seeds, enumerate(configurations)):
            if n in alone:
                yield alone[n].with_seed(seed)
                continue
            chain = self._chain(model_of(arm), arm, params, source, seed, fraction)
            if len(chain) == 1:  # what starts from weights of its own seed differs by more
                alone[n] = chain[0]
            yield from chain

    @property
    def by_batch(self) -> bool:
        """Whether each seed leaves out one batch, as the task declares it."""
        from trainables import catalog

        return bool(getattr(catalog.task(self.task, self.task_params), "by_batch", False))

    def stopping(self) -> dict[str, Any]:
        """How seeds are added until all is decided, as it is hashed: all of them, and the looks.

        Raises ValueError where seeds cannot be added, or there is nothing to decide.
        """
        seeds = list(self.seeds)
        if not self.analysis:
            raise ValueError(f"the sweep {self.name!r} has no comparisons to decide")
        if self.max_seeds < len(seeds):
            raise ValueError(
                f"max_seeds is {self.max_seeds}, and the sweep {self.name!r} starts with"
                f" {len(seeds)} seeds: give it fewer (seeds=3), or allow more"
            )
        if self.by_batch:
            raise ValueError(
                "with protocol=batch a seed is a batch to leave out, and batches cannot be added"
            )
        others = (seed for seed in itertools.count() if seed not in seeds)
        every = [*seeds, *itertools.islice(others, self.max_seeds - len(seeds))]
        return {"rule": RULE, "seeds": every, "looks": list(looks(len(seeds), self.max_seeds))}

    def _chain(
        self, model: str, arm: str, params: Mapping[str, Any], source: Dataset, seed: int, share=1.0
    ) -> list[Trial]:
        """A trial, after the pretraining trials that it starts from, all under the arm's name."""
        from trainables.networks import MADE_BY
        from trainables.trial import Trial

        before: list[Trial] = []
        settled = dict(params)
        for key, wanted in params.items():
            if isinstance(wanted, Pretraining):
                before += wanted.step(self)._chain(
                    wanted.model,
                    arm,
                    wanted.params,
                    source if wanted.dataset is None else find_dataset(wanted.dataset),
                    seed if wanted.seed is None else wanted.seed,
                )
                settled[key] = MADE_BY + before[-1].id
        own = Trial(
            model=model,
            task=self.task,
            dataset=source.name,
            seed=seed,
            fraction=share,
            model_params=settled,
            task_params=self.task_params,
            dataset_sha256=source.sha256,
            arm=arm if arm != model else "",
        )
        return [*before, own.located()]

    def pretraining_datasets(self) -> list[str | Dataset]:
        """The data sets that pretraining has of its own."""
        found = (
            value.dataset
            for value in self.hyperparameter_values()
            if isinstance(value, Pretraining)
        )
        return [dataset for dataset in found if dataset is not None]

    def relative_paths(self) -> list[str]:
        """Values of hyperparameters that are relative paths, such as "./weights"."""
        from trainables.networks.weights import is_path

        texts = (
            value
            for value in self.hyperparameter_values()
            if isinstance(value, str) and is_path(value)
        )
        return [text for text in texts if not Path(text).expanduser().is_absolute()]

    def hyperparameter_values(self) -> Iterator[Any]:
        """Every value that a hyperparameter may have, those of pretraining included."""
        waiting: list[Any] = [value for space in self.models.values() for value in space.values()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Tried):
                waiting += value.values
                continue
            if isinstance(value, Pretraining):
                waiting += value.params.values()
            yield value

    def changed(self, changes: Mapping[str, Any]) -> Sweep:
        """This sweep with other `seeds`, `max_seeds`, `fractions`, `datasets`, `draws`, `search`,
        `stopper`, `processes`, `arms`, `task.x` or `MODEL.x`.

        `seeds=10` means ten seeds from 0; `scale="small"` is the sweep's small variant, which the
        other changes then change; `arms=NAME` adds one of `variants`. Raises LookupError for a key
        that is none of these.
        """
        sweep = self.scaled(changes["scale"]) if "scale" in changes else self
        sweep = with_arms(sweep, changes["arms"]) if "arms" in changes else sweep
        for key, value in changes.items():
            if key not in ("scale", "arms"):
                sweep = sweep._changed_one(key, value)
        return sweep

    def on(self, cells: Dataset, name: str) -> Sweep:
        """This sweep and its small variant on other cells, under another name.

        On other cells a paper has nothing to differ from.
        """
        small = self.small and dataclasses.replace(self.small, datasets=[cells])
        own = {"datasets": [cells], "small": small, "name": name, "differences": ()}
        return dataclasses.replace(self, **own)

    def scaled(self, scale: str) -> Sweep:
        """The "small" variant, under a name of its own, or the "paper"'s, which is this.

        Raises LookupError where there is no such variant.
        """
        if scale == "paper":
            return self
        if scale != "small" or self.small is None:
            there = "paper" if self.small is None else "paper, small"
            raise LookupError(f"the sweep {self.name!r} has no scale {scale!r}; it has: {there}")
        return dataclasses.replace(self.small, name=f"{self.name}-small")

    def _changed_one(self, key: str, value: Any) -> Sweep:
        owner = next((m for m in self.models if key.startswith(f"{m}.")), None)
        if owner:
            space = {**self.models[owner], key.removeprefix(f"{owner}."): value}
            return dataclasses.replace(self, models={**self.models, owner: space})
        if key.startswith("task."):
            params = {**self.task_params, key.removeprefix("task."): value}
            return dataclasses.replace(self, task_params=params)
        if key == "seeds":
            return dataclasses.replace(
                self, seeds=range(value) if isinstance(value, int) else value
            )
        if key in ("fractions", "datasets"):
            many = value if isinstance(value, (list, tuple)) else [value]
            return dataclasses.replace(self, **{key: many})
        if key in ("draws", "max_seeds", "search", "stopper", "processes"):
            return dataclasses.replace(self, **{key: value})
        own = ", ".join(f"{model}.NAME" for model in self.models)
        raise LookupError(
            f"a sweep has no {key!r}; it has: seeds, max_seeds, fractions, datasets, draws, search,"
            f" stopper, processes, scale, arms, task.NAME, {own}"
        )


def looks(first: int, most: int, at_most: int = 5) -> tuple[int, ...]:
    """Numbers of seeds to look at: as many more each time as at first, or so many that the last is
    the fifth look, beyond which looks hardly save seeds.

    >>> looks(5, 20), looks(2, 40)
    ((5, 10, 15, 20), (2, 12, 22, 32, 40))
    """
    step = max(first, -(-(most - first) // (at_most - 1)))
    return (*range(first, most, step), most)


def refuse_equal_names(sweep: str, sources: Sequence[Dataset]) -> None:
    """Raise ValueError where two data sets of a sweep have one name: their results would mix."""
    by_name: dict[str, Dataset] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source and other.sha256 != source.sha256:
            raise ValueError(
                f"the sweep {sweep!r} has two data sets called {source.name!r}; give one another"
                " name, as in UserFile(path, title='donor2')"
            )


def find_dataset(source: str | Dataset) -> Dataset:
    """A data set by its catalog name, or as it is."""
    from trainables import catalog

    return catalog.dataset(source) if isinstance(source, str) else source
