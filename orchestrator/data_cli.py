"""`gauntlet data`: where cells come from, getting them, and looking before leaping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trainables.downloads import Progress

app = typer.Typer(
    help="List, fetch, add and check data sets.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Name the data sets, what the papers say of them, and which are on this disk.

    [dim]gauntlet data list[/dim]
    """
    from orchestrator import show
    from orchestrator.cli import print_json
    from trainables import catalog

    found = [listed(catalog.dataset(name)) for name in catalog.names("datasets")]
    if as_json:
        return print_json(found)
    columns = ("name", "cells", "genes", "labels", "batches", "here", "how")
    show.table("data sets", [{c: shown(row[c]) for c in columns} for row in found])


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Data sets, as in: zheng68k macparland")],
    again: Annotated[
        bool, typer.Option("--again", help="Fetch and record anew what is here already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download data sets to $GAUNTLET_DATA, or to gauntlet-data here. Run it again to resume.

    [dim]gauntlet data fetch zheng68k[/dim]
    """
    from orchestrator.cli import print_json

    sources = [published(name) for name in names]  # every name is known before any byte comes
    found = []
    for source in sources:
        with bars() as listener:
            paths = source.fetch(again=again, progress=listener)
        found.append(files_of(source, paths))
    print_json(found) if as_json else say_files(found)


@app.command()
def add(
    name: str,
    files: Annotated[
        list[Path], typer.Argument(help="Files under their official names, or a zip of them.")
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of what was recorded before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take files that a browser or another machine downloaded.

    [dim]gauntlet data add ms c_data.h5ad filtered_ms_adata.h5ad[/dim]
    """
    from orchestrator.cli import print_json

    source = published(name)
    found = [files_of(source, source.add(files, replace=replace))]
    print_json(found) if as_json else say_files(found)


@app.command()
def check(
    name_or_file: Annotated[str, typer.Argument(help="A data set's name, or your own file.")],
    label_key: Annotated[
        str | None, typer.Option(help="Column of obs with the cell types [default: cell_type].")
    ] = None,
    batch_key: Annotated[
        str | None, typer.Option(help="Column of obs with the batches [default: batch, if there].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page with plots [default: card-NAME.html].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the data card of cells, compare them with the literature, and write a page with plots.

    [dim]gauntlet data check pbmc68k_reduced[/dim]
    [dim]gauntlet data check mine.h5ad --label-key celltype --batch-key donor[/dim]
    """
    from analysis.data_card import data_card
    from orchestrator.cli import CHECK_FAILED, print_json
    from trainables.inspection import inspect

    cells, name, keys, declared, wrong = gathered(name_or_file, label_key, batch_key)
    card = inspect(cells, name, *keys)
    page = out or Path(f"card-{name}.html")
    page.parent.mkdir(parents=True, exist_ok=True)
    data_card(card, page, mismatches=wrong, declared=declared)
    if as_json:
        print_json({**card, "mismatches": wrong, "page": str(page)})
    else:
        say_card(card, wrong, page)
    if wrong:
        raise typer.Exit(CHECK_FAILED)


# ---- what is known ----------------------------------------------------------------------------


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
    recorded = source.ledger()
    return {
        "name": source.name,
        "files": {str(path): recorded[path.name]["sha256"] for path in paths},
        "missing": [file.file for file in source.missing()],
    }


def gathered(
    name_or_file: str, label_key: str | None, batch_key: str | None
) -> tuple[Any, str, tuple[str | None, str | None], dict[str, str], list[str]]:
    """Cells to check: they, their name, their columns, what is declared, what is wrong."""
    from orchestrator.cli import CHECK_FAILED
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


DECLARED = ("summary", "citation", "licence", "values", "split", "how")


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


# ---- said -------------------------------------------------------------------------------------


def shown(value: Any) -> Any:
    """A count with its thousands apart, and nothing where nothing is stated."""
    if isinstance(value, bool):
        return value
    return "" if value is None else f"{value:,}" if isinstance(value, int) else value


def say_files(found: list[dict[str, Any]]) -> None:
    """Where files are and by which hash they go."""
    for source in found:
        for path, sha256 in source["files"].items():
            typer.echo(f"{path}  sha256 {sha256}")
        if source["missing"]:
            typer.echo(f"{source['name']} still lacks: {', '.join(source['missing'])}")
        else:
            typer.echo(f"complete; look at it with: gauntlet data check {source['name']}")


def say_card(card: dict[str, Any], wrong: list[str], page: Path) -> None:
    """The card in a terminal: the worst first, then what was found."""
    from rich.markup import escape

    from analysis.data_card import facts
    from orchestrator import show

    for sentence in wrong:
        show.console.print(f"[red]not as published[/red] {escape(sentence)}", highlight=False)
    for sentence in card["warnings"]:
        show.console.print(f"[yellow]note[/yellow] {escape(sentence)}", highlight=False)
    if not wrong and not card["warnings"]:
        show.console.print("[green]nothing to worry about was found[/green]")
    show.facts(card["name"], facts(card))
    for what in ("labels", "batches"):
        if card[what]:
            rows = [{what: name, "cells": f"{n:,}"} for name, n in card[what].items()]
            show.table(f"{len(rows)} {what}", rows)
    show.console.print(f"page  {page}", highlight=False, soft_wrap=True)


class bars:
    """Progress bars on standard error, one a file, for as long as files come."""

    def __enter__(self) -> Any:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self.drawn = Progress(
            TextColumn("{task.description}"), BarColumn(), *columns, console=Console(stderr=True)
        )
        self.drawn.start()
        return self.listener

    def __exit__(self, *_: object) -> None:
        self.drawn.stop()

    def listener(self, file: str) -> Progress:
        """What hears of one file's bytes."""
        task = self.drawn.add_task(file, total=None)

        def heard(done: int, total: int | None) -> None:
            self.drawn.update(task, completed=done, total=total)

        return heard
