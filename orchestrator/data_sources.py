"""What `gauntlet data` knows of data sets: declarations, files, and the cells to be checked."""

from __future__ import annotations

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


def gathered(
    name_or_file: str, label_key: str | None, batch_key: str | None
) -> tuple[Any, str, tuple[str | None, str | None], dict[str, str], list[str]]:
    """Cells to check: they, their name, their columns, what is declared, what is wrong."""
    from trainables import catalog, readers
    from trainables.layouts import read_h5ad
    from trainables.sources import Published

    path = Path(name_or_file)
    if path.suffix or path.exists():
        # an .h5ad with its .raw, which the card may tell of; all else as a run would read it
        plain = path.suffix == ".h5ad" and path.is_file()
        cells = read_h5ad(path) if plain else readers.read(path).to_memory()
        keys = (
            column(cells.obs, label_key, "cell_type", "--label-key"),
            column(cells.obs, batch_key, "batch", "--batch-key"),
        )
        return cells, readers.title(path), keys, {}, []
    if label_key or batch_key:
        raise ValueError(f"--label-key and --batch-key describe a file; {name_or_file} has its own")
    source = catalog.dataset(name_or_file)
    declared = {k: str(v) for k, v in listed(source).items() if v and k in DECLARED}
    if not isinstance(source, Published):
        cells = source.read()
        return cells, source.name, own_keys(cells), declared, []
    try:
        cells = source.open()
    except ValueError as error:  # the files are here, but are not what they were or should be
        typer.secho(f"gauntlet: {error}", fg="red", err=True)
        raise typer.Exit(CHECK_FAILED) from error
    wrong = [sentence for name, sentence in source.mismatches(cells) if name not in source.inferred]
    return cells, source.name, own_keys(cells), declared, wrong


def own_keys(cells: Any) -> tuple[str | None, str | None]:
    """The columns under the names that the rest of Gauntlet knows."""
    label, batch = (key if key in cells.obs else None for key in ("cell_type", "batch"))
    return label, batch


def column(obs: Any, key: str | None, usual: str, option: str) -> str | None:
    """The column asked for, or the usual one where it is there.

    Raises LookupError, with the nearest names, for a column that is not there.
    """
    from trainables.catalog import unknown

    if key is None:
        return usual if usual in obs else None
    if key not in obs:
        raise LookupError(unknown(f"obs column for {option}", key, list(map(str, obs.columns))))
    return key
