"""`gauntlet models`: the authors' weights, getting them, and what becomes of each of their keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.options import CHECK_FAILED, AsJson, print_json

app = typer.Typer(
    help="Fetch and check the weights of foundation models.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

ModelName = Annotated[str, typer.Argument(help="A model with weights, as in: geneformer")]
Variant = Annotated[
    str | None, typer.Option(help="Which weights.", show_default="the model's first")
]


@app.command()
def fetch(
    model: ModelName,
    variant: Variant = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", help="A file that a browser saved, or a zip of them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put weights where trials find them: $GAUNTLET_WEIGHTS, or gauntlet-weights here.

    Downloads them, and goes on where it was stopped.
    Of what only a browser gets it says where that is and what to run then.

    [dim]gauntlet models fetch geneformer --variant v1-10m[/dim]
    [dim]gauntlet models fetch scgpt --variant human --from scGPT_human.zip[/dim]
    """
    from orchestrator.data_cli import bars

    weights = published(model, variant)
    if from_:
        weights.take(from_)
    with bars() as listener:
        weights.download(progress=listener)
        lacking = [] if from_ else weights.download_optional(progress=listener)
    for name in lacking:
        typer.echo(f"{name} could not be downloaded; {model} works without it", err=True)
    found = weights.hashes()
    if as_json:
        return print_json({"folder": str(weights.folder), "sha256": found})
    for name, sha256 in found.items():
        typer.echo(f"{weights.folder / name}  sha256 {sha256}")
    typer.echo(
        f"complete; look at it with: gauntlet models check {model} --variant {weights.variant}"
    )


@app.command()
def check(
    model: ModelName,
    variant: Variant = None,
    weights: Annotated[
        Path | None, typer.Option(help="A folder of weights of your own instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what becomes of every key of a weights file, and fail where one fits nowhere.

    [dim]gauntlet models check scgpt --variant blood[/dim]
    """
    from orchestrator import show

    known = published(model, variant)
    if weights is None and known.missing():
        raise LookupError(known.way())
    if weights is not None and not weights.is_dir():
        raise LookupError(f"there is no folder {weights}; give the folder that holds the weights")
    try:
        found = hashes_in(weights, known.files) if weights else known.hashes()
        fates = examined(model)(weights or known.folder)
    except ValueError as error:
        typer.secho(f"gauntlet: {error}", fg="red", err=True)
        raise typer.Exit(CHECK_FAILED) from error
    official = known.verdicts(found)
    if as_json:
        return print_json({"sha256": found, "official": official, "keys": fates})
    show.table("keys", fates)
    for name, sha256 in found.items():
        words = f": {official[name]}" if name in official else ""
        typer.echo(f"{name}  sha256 {sha256}{words}")
    typer.echo("every key is accounted for")


def published(model: str, variant: str | None) -> Any:
    """A model's weights of that name, or its first.

    Raises LookupError for a model without published weights and for an unknown variant.
    """
    from trainables.catalog import find, unknown
    from trainables.published_weights import PublishedWeights, at_hub

    cls = find("models", model)
    if not hasattr(cls, "published"):
        raise LookupError(f"{model} has no published weights to fetch")
    chosen = variant or next(iter(cls.published))
    if chosen not in cls.published:
        raise LookupError(unknown(f"variant of {model}", chosen, list(cls.published)))
    files = cls.files[chosen] if isinstance(cls.files, dict) else cls.files
    hub, revision = getattr(cls, "hub", ""), getattr(cls, "revisions", {}).get(chosen, "main")
    urls = {name: at_hub(hub, revision, path) for name, path in files.items()} if hub else {}
    urls |= getattr(cls, "urls", {}).get(chosen, {})
    page = cls.published[chosen]
    optional = tuple(name for name in getattr(cls, "optional", ()) if name in files)
    revision = revision if hub else ""
    return PublishedWeights(model, chosen, page, tuple(files), urls, revision, optional)


def hashes_in(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """sha256 of those files of a folder that have a published file's name."""
    from trainables.store import file_sha256

    return {name: file_sha256(folder / name) for name in names if (folder / name).is_file()}


def examined(model: str) -> Any:
    """What tells the fate of each key of a folder of weights, for that model."""
    from trainables.catalog import find

    return find("models", model).examine
