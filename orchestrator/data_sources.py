"""What `gauntlet data` knows of data sets: declarations, files, and the cells to be checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from orchestrator.options import CHECK_FAILED

DECLARED = ("summary", "citation", "licence", "values", "split", "how")


def published(name: str) -> Any:
    """The data set of that name, if it has files to get.

    Raises LookupError for an unknown name and for a data set that needs no files.
    """
    from trainables import catalog
    from trainables.sources import Published

    source = catalog.dataset(name)
    if not isinstance(source, Published):
        raise LookupError(f"{name} needs no files: it is made, or comes with an installed package")
    return source


def listed(source: Any) -> dict[str, Any]:
    """One line of facts on a data set; nothing is read or downloaded for it."""
    from dataclasses import asdict

    from trainables.sources import Facts, Published

    ours = isinstance(source, Published)
    facts = asdict(source.facts if ours else Facts())
    return {
        "name": source.name,
        "summary": source.summary,
        **{key: facts[key] for key in ("cells", "genes", "labels", "batches")},
        "here": not source.missing() if ours else True,
        "how": how(source) if ours else "nothing to get",
        "folder": str(source.folder) if ours else None,
        "files": [vars_of(file) for file in source.files] if ours else [],
        "licence": getattr(source, "licence", ""),
        "citation": getattr(source, "citation", ""),
        "values": source.values if ours else "",
        "label_key": source.label_key if ours else None,
        "batch_key": source.batch_key if ours else None,
        "split": source.split if ours else "",
        "inferred": list(source.inferred) if ours else [],
        "unknown": list(source.unknown) if ours else [],
    }


def how(source: Any) -> str:
    """The way its files come, in a word or two."""
    from trainables.origins import ByHand, Made

    kinds = {type(file) for file in source.files}
    if ByHand in kinds:
        return "by hand"
    if Made in kinds:
        return f"through {source.files[0].package.split('.')[0]}"
    return "download"


def vars_of(file: Any) -> dict[str, str]:
    """A file's declaration as plain text."""
    return {key: value for key, value in vars(file).items() if isinstance(value, str)}


def files_of(source: Any, paths: list[Path]) -> dict[str, Any]:
    """What is here of a data set, with the hashes that hold from now on."""
    recorded = source.seen.entries()
    return {
        "name": source.name,
        "files": {str(path): recorded[path.name]["sha256"] for path in paths},
        "missing": [file.file for file in source.missing()],
    }


@dataclass(frozen=True)
class Checked:
    """Data card of a file or data set, and everything that is wrong with it."""

    card: dict[str, Any]
    declared: dict[str, str]
    """Declaration of a data set of the literature."""
    mismatches: list[str]
    """Sentences on differences from the literature."""
    refused: str = ""
    """The sentence by which a run would refuse the cells, or an empty text."""

    @property
    def wrong(self) -> list[str]:
        """Every sentence on something that is wrong."""
        return [*self.mismatches, *([self.refused] if self.refused else [])]


def to_check(name_or_file: str, options: tuple[Any, ...], task: str) -> Checked:
    """Prepare cells as a run of this task would, and look at them.

    `options` are the fields of `UserFile` after its path. Raises ValueError or LookupError, in the
    words of a run, for cells that cannot be prepared.
    """
    from trainables import catalog
    from trainables.inspection import inspect
    from trainables.sources import Published
    from trainables.userdata import UserFile

    question = catalog.task(task)
    path = Path(name_or_file)
    if path.suffix or path.exists():
        own: Any = UserFile(path, *options)
        with prepared(own) as cells:
            refused = ""
            try:
                question.check(cells)
            except ValueError as error:
                refused = f"{own.name}: {error}"
            card = inspect(cells, own.name)
        return Checked(card, {}, [], refused)
    if any(options):
        raise ValueError(f"options such as --label-key describe a file; {name_or_file} has its own")
    source: Any = catalog.dataset(name_or_file)
    declared = {k: str(v) for k, v in listed(source).items() if v and k in DECLARED}
    try:
        opened = Opened(source)
        with prepared(opened) as cells:
            card = inspect(cells, source.name)
    except ValueError as error:  # the files are here, but are not what they were or should be
        typer.secho(f"gauntlet: {error}", fg="red", err=True)
        raise typer.Exit(CHECK_FAILED) from error
    if not isinstance(source, Published):
        return Checked(card, declared, [])
    return Checked(card, declared, opened.mismatches)


@dataclass
class Opened:
    """A data set whose differences from the literature are listed instead of refused."""

    source: Any
    mismatches: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def read(self) -> Any:
        """The cells, whether or not they are as published."""
        if not hasattr(self.source, "mismatches"):
            return self.source.read()
        cells = self.source.open()
        found = self.source.mismatches(cells)
        self.mismatches = [words for name, words in found if name not in self.source.inferred]
        return cells


@contextmanager
def prepared(source: Any, scratch: Path | None = None) -> Iterator[Any]:
    """Cells of a data set, prepared as a run prepares them, for as long as the context lasts."""
    from trainables.cells import open_cells, prepare
    from trainables.store import Store

    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        yield open_cells(prepare(source, Store(Path(folder))))
