"""`gauntlet data`: where cells come from, getting them, and looking before leaping."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.data_sources import files_of, listed, published, to_check
from orchestrator.options import (
    BAD_INPUT,
    CHECK_FAILED,
    AsJson,
    BatchKey,
    CountsLayer,
    LabelKey,
    Labels,
    LibrarySize,
    MinCells,
    Transpose,
    ValuesOption,
    print_json,
)

if TYPE_CHECKING:
    from trainables.downloads import Progress

app = typer.Typer(
    help="List, fetch, add and check data sets.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Name the data sets, what the papers say of them, and which are on this disk.

    [dim]gauntlet data list[/dim]
    """
    from orchestrator import show
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
    sources = [published(name) for name in names]  # every name is known before any byte comes
    found = []
    for source in sources:
        with bars() as listener:
            paths = source.fetch(again=again, progress=listener)
        found.append(files_of(source, paths))
    print_json(found) if as_json else say_files(found)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The data set that they are.")],
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
    source = published(name)
    found = [files_of(source, source.add(files, replace=replace))]
    print_json(found) if as_json else say_files(found)


@app.command()
def check(
    name_or_file: Annotated[str, typer.Argument(help="A data set's name, or your own file.")],
    label_key: LabelKey = None,
    batch_key: BatchKey = None,
    labels: Labels = None,
    min_cells: MinCells = 0,
    counts_layer: CountsLayer = None,
    values: ValuesOption = None,
    library_size: LibrarySize = None,
    transpose: Transpose = False,
    task: Annotated[
        str, typer.Option(help="The task that the cells are meant for.")
    ] = "annotation",
    out: Annotated[
        Path | None, typer.Option(help="The page with plots.", show_default="card-NAME.html")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prepare cells as a run would, print their data card, and write a page with plots.

    Exits with 2, and one sentence, where a run would refuse the cells; with 3 where a data set of
    the literature is not as published.

    [dim]gauntlet data check pbmc68k_reduced[/dim]
    [dim]gauntlet data check mine.h5ad --label-key celltype --batch-key donor[/dim]
    """
    from analysis.data_card import data_card

    options = (label_key, batch_key, min_cells, labels, counts_layer, values, library_size)
    checked = to_check(name_or_file, (*options, transpose), task)
    card = {**checked.card, "mismatches": checked.mismatches, "refused": checked.refused}
    page = out or own_page(card["name"], card["sha256"])
    page.parent.mkdir(parents=True, exist_ok=True)
    data_card(card, page, mismatches=checked.wrong, declared=checked.declared)
    if as_json:
        print_json({**card, "page": str(page)})
    else:
        say_card(card, checked.wrong, page)
    if checked.refused:
        typer.secho(f"gauntlet: {checked.refused}", fg="red", err=True)
        raise typer.Exit(BAD_INPUT)
    if checked.mismatches:
        raise typer.Exit(CHECK_FAILED)


def own_page(name: str, sha256: str) -> Path:
    """Return `card-NAME.html`; digits of the sha256 follow the name of another card's file."""
    from orchestrator.own_names import DIGITS

    page = Path(f"card-{name}.html")
    if page.exists() and sha256 not in page.read_text(encoding="utf-8", errors="replace"):
        return page.with_stem(f"{page.stem}-{sha256[:DIGITS]}")
    return page


@app.command()
def prepare(
    file: Annotated[Path, typer.Argument(help="Your own cells.")],
    out: Annotated[Path, typer.Option(help="The .h5ad file to write.")],
    label_key: LabelKey = None,
    batch_key: BatchKey = None,
    labels: Labels = None,
    min_cells: MinCells = 0,
    counts_layer: CountsLayer = None,
    values: ValuesOption = None,
    library_size: LibrarySize = None,
    transpose: Transpose = False,
) -> None:
    """Write the cells of a file exactly as every model will see them, so that you can look.

    [dim]gauntlet data prepare mine.h5ad --label-key celltype --out prepared.h5ad[/dim]
    """
    from orchestrator.data_sources import prepared
    from trainables.cells import decision
    from trainables.export import write_h5ad
    from trainables.userdata import UserFile

    options = (label_key, batch_key, min_cells, labels, counts_layer, values, library_size)
    source: Any = UserFile(file, *options, transpose)
    out.parent.mkdir(parents=True, exist_ok=True)
    with prepared(source, out.parent) as cells:
        write_h5ad(cells, out)
        taken = decision(cells)
    typer.echo(taken.sentence)
    for note in taken.notes:
        typer.echo(f"note  {note}")
    typer.echo(f"{out}: {cells.n_obs:,} cells x {cells.n_vars:,} genes")


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
        show.console.print(f"[red]wrong[/red] {escape(sentence)}", highlight=False)
    for sentence in card["warnings"] + card["notes"]:
        show.console.print(f"[yellow]note[/yellow] {escape(sentence)}", highlight=False)
    if not wrong and not card["warnings"] and not card["notes"]:
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
