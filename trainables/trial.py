"""A trial: a model meets a task on a data set with a seed, named by all that decides its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from trainables import catalog, external
from trainables.cells import decision, open_cells, prepare, recipe
from trainables.external import External
from trainables.genes.overlap import BY_SYMBOL, KnowsGenes, Overlap
from trainables.networks import MADE_BY
from trainables.protocols import CAPABILITIES, Cells, Context, Metrics, NotApplicable, Unavailable
from trainables.store import Store, digest


@dataclass(frozen=True)
class Trial:
    """One cell of a design. `id` is the same wherever and whenever it is run."""

    model: str
    task: str
    dataset: str
    seed: int
    fraction: float = 1.0
    model_params: Mapping[str, Any] = field(default_factory=dict)
    task_params: Mapping[str, Any] = field(default_factory=dict)
    dataset_sha256: str = ""
    """The data set's content; left empty, the catalog's data set of that name says it."""
    arm: str = field(default="", compare=False)
    """What a sweep calls this configuration of the model; decides nothing, so it is in no id."""
    external: Mapping[str, External] | None = field(default=None, compare=False, repr=False)
    """Files outside that the model reads, by the parameter that names them; None before `located`.
    Places are in no id: contents are."""

    def __post_init__(self) -> None:
        if not self.dataset_sha256:
            object.__setattr__(self, "dataset_sha256", catalog.dataset(self.dataset).sha256)

    def spelled_out(self) -> dict[str, Any]:
        """Everything that decides the result, every default included.

        Raises LookupError for a name or parameter that nobody knows.
        """
        return {**self.design, "seed": self.seed}

    @cached_property
    def design(self) -> dict[str, Any]:
        """What decides the result but for the seed, looked up once: the id is the hash of this."""
        return {
            "model": self.model,
            "model_version": catalog.version(self.model),
            "model_params": catalog.spelled_out(catalog.model(self.model, self.model_params)),
            "task": self.task,
            "task_version": catalog.find("tasks", self.task).version,
            "task_params": catalog.spelled_out(self.the_task()) | {"fraction": self.fraction},
            "dataset": self.dataset,
            "dataset_sha256": self.dataset_sha256,
            "dataset_preparation": recipe(self.dataset_sha256)["version"],
        }

    def with_seed(self, seed: int) -> Trial:
        """The same design with another seed, of which nothing is looked up again."""
        other = replace(self, seed=seed)
        other.__dict__["design"] = self.design
        return other

    def located(self) -> Trial:
        """This trial with its external files found on this machine, the driver's.

        A parameter that is a relative path becomes an absolute one.
        """
        if self.external is not None:
            return self
        files = external.of_model(self.build())
        params = dict(self.model_params)
        for name, file in files.items():
            given = params.get(name)
            if given and Path(file.path).is_relative_to(place := external.absolute(given)):
                params[name] = str(place)
        return replace(self, model_params=params, external=files)

    def build(self, store: Store | None = None) -> Any:
        """The model; with a store, its external files are where this machine has them.

        Raises Unavailable where this machine lacks one.
        """
        params = dict(self.model_params)
        if store is not None:
            params |= {name: file.locate(store) for name, file in (self.external or {}).items()}
        return catalog.model(self.model, params)

    @cached_property
    def id(self) -> str:
        """The first 16 hex digits of the sha256 of the canonical JSON of `spelled_out()`."""
        return digest(self.spelled_out())[:16]

    def spec(self) -> dict[str, Any]:
        """The fields, ready for JSON: `Trial(**spec)` is the same trial again, not yet located."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self) if f.name != "external"},
            "model_params": dict(self.model_params),
            "task_params": dict(self.task_params),
        }

    @property
    def shown(self) -> str:
        """The name to show for the model: its arm's, where a sweep gave one."""
        return self.arm or self.model

    def needs(self) -> set[str]:
        """The ids of the trials whose weights this one starts from."""
        values = [value for value in self.model_params.values() if isinstance(value, str)]
        return {value.removeprefix(MADE_BY) for value in values if value.startswith(MADE_BY)}

    def the_task(self) -> Any:
        """The task, told its fraction where it takes one."""
        cls = catalog.find("tasks", self.task)
        params = dict(self.task_params)
        if "fraction" in catalog.fields(cls):
            params["fraction"] = self.fraction
        elif self.fraction != 1:
            raise ValueError(f"{self.task} uses no labels, so it takes no fraction {self.fraction}")
        return catalog.build(cls, self.task, params)

    def check(self, cells: Cells, built: Any = None) -> None:
        """Raise NotApplicable or ValueError, in one sentence, when this cannot be run.

        `built`: the model, where it is built already.
        """
        task, built = self.the_task(), built or self.build()
        if not isinstance(built, task.needs):
            offers = [c.__name__ for c in CAPABILITIES if isinstance(built, c)]
            raise NotApplicable(
                f"{self.model} is {' and '.join(map(article, offers))}, and {self.task} needs"
                f" {article(task.needs.__name__)}"
            )
        if catalog.card(self.model).wants == "counts" and not cells.uns["gauntlet"]["has_counts"]:
            raise ValueError(
                f"{self.model} wants raw counts and {self.dataset} has none: put integer counts"
                " in layers['counts'], or leave the model out"
            )
        taken = decision(cells)
        for part in catalog.parts(built):
            species = type(part).card.species
            if species and taken.species not in ("", species) and uses_published_weights(part):
                raise ValueError(
                    f"{self.model} knows {species} genes only, and those of {self.dataset} are"
                    f" not ({taken.species}): leave the model out, or map genes to their"
                    f" {species} orthologues"
                )
            if hasattr(part, "check"):
                part.check(cells)
        try:
            task.check(cells)
        except ValueError as error:
            raise ValueError(f"{self.dataset}: {error}") from None

    def overlaps(self, cells: Cells, built: Any, store: Store) -> dict[str, Overlap]:
        """Genes that each part of the model knows, for the parts that have a vocabulary."""
        names = reversed(self.model.split("+"))
        return {
            name: Overlap.of(cells, part.gene_columns(cells, store))
            for name, part in zip(names, catalog.parts(built), strict=True)
            if isinstance(part, KnowsGenes)
        }

    def cells(self, store: Store) -> Cells:
        """The prepared cells, from the store.

        Where the driver has not prepared them, a data set that needs no files is prepared here.
        Raises Unavailable for any other: its files are the driver's to read.
        """
        home = store.find(recipe(self.dataset_sha256))
        if home is None:
            from trainables.sources import Published

            own = self.dataset in catalog.names("datasets")
            source = catalog.dataset(self.dataset) if own or self.external is None else None
            if source is None or (self.external is not None and isinstance(source, Published)):
                raise Unavailable(
                    f"the prepared cells of {self.dataset} are not in {store.root}; give --storage"
                    " a folder that all machines share, or a bucket"
                )
            home = prepare(source, store)
        return open_cells(home)

    def run(self, ctx: Context) -> Metrics:
        """Do it; metrics by name, and `n_...` counts of cells."""
        cells, built = self.cells(ctx.store), self.build(ctx.store)
        self.check(cells, built)
        for name, overlap in self.overlaps(cells, built, ctx.store).items():
            print(overlap.sentence(name))
            overlap.refuse(name, 0, BY_SYMBOL)  # weights of a trial: no check has seen them
            ctx.note(name, overlap.facts())
        return self.the_task()(built, cells, replace(ctx, seed=self.seed))


def uses_published_weights(model: Any) -> bool:
    """Whether a model starts from weights that were not made of the cells at hand."""
    weights = getattr(model, "weights", "published")
    return weights != "none" and not str(weights).startswith(MADE_BY)


def article(noun: str) -> str:
    """A noun with its article.

    >>> article("Embedder"), article("Pretrainer")
    ('an embedder', 'a pretrainer')
    """
    return f"{'an' if noun[0] in 'AEIOU' else 'a'} {noun.lower()}"
