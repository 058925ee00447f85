"""A sweep's plan made again from records, where every manifest of it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.damage import refused
from orchestrator.manifests import in_lines, read, slug
from orchestrator.records import Ledger, Record, now
from orchestrator.storage import SET_ASIDE, create, fresh
from orchestrator.trouble import say
from trainables import catalog


def rebuilt(storage: Path, folder: Path) -> Path | None:
    """The new manifest of a sweep: the trials that no other sweep has planned, as recorded.

    Arms, comparisons and what was never run are lost until the sweep is run again. None where no
    record is left to it, or the storage may not be written.
    """
    planned: set[str] = set()
    for path in folder.parent.glob("*/*.json"):
        if path.parent != folder and (other := read(storage, path)):
            planned |= other["trials"].keys()
    ledger = Ledger(storage)
    records = ledger.current(sorted(set(ledger.tries()) - planned))
    if not records:
        say(f"no record tells what the sweep {folder.name!r} planned; run it again")
        return None
    manifest = manifest_of(folder, records)
    path = folder / f"{''.join(filter(str.isdigit, manifest['created_at']))}.json"
    try:
        create(storage, name := path.relative_to(storage).as_posix(), in_lines(manifest))
        fresh(storage, name)
    except Exception as error:  # noqa: BLE001  `refused` raises what is no refusal
        why = refused(error)
        say(f"the plan of {folder.name!r} is damaged and cannot be made again: {why}")
        return None
    say(
        f"the plan of {folder.name!r} was made again from {len(records)} records, without arms and"
        " comparisons; to have them back, run the sweep again: gauntlet run, with the sweep's name"
        " or file"
    )
    return path


def manifest_of(folder: Path, records: list[Record]) -> dict[str, Any]:
    """What records say of the sweep that they were made for."""
    trials = [record["trial"] for record in records]
    task = max((trial["task"] for trial in trials), key=[t["task"] for t in trials].count)
    models = sorted({trial["model"] for trial in trials})
    known = [model for model in models if model.rpartition("+")[2] in catalog.names("models")]
    cards = {model: catalog.card(model) for model in known}
    name = name_in(folder)
    return {
        "sweep": name,
        "title": f"{name} (its plan was damaged, and made again from its records)",
        "created_at": now(),
        "headline": catalog.find("tasks", task).headline,
        "analysis": [],
        "analysis_sha256": "",
        "task": task,
        "models": {model: cards[model].summary if model in cards else "" for model in models},
        "controls": {model: card.control for model, card in cards.items() if card.control},
        "datasets": {
            trial["dataset"]: {"sha256": trial["dataset_sha256"]}
            | dict.fromkeys(("summary", "citation", "licence"), "")
            for trial in trials
        },
        "suggested": [],
        "trials": {record["trial_id"]: spec_of(record["trial"]) for record in records},
    }


def name_in(folder: Path) -> str:
    """Name of the sweep in a folder: what is left of a damaged manifest says it, or the folder."""
    for path in folder.glob(f"*{SET_ASIDE}"):
        if path.is_file():
            line = path.read_bytes()[:1000].decode(errors="replace").partition('"sweep": ')[2]
            try:
                name, _ = json.JSONDecoder().raw_decode(line)
            except ValueError:
                continue
            if isinstance(name, str) and name.strip(".") and slug(name) == folder.name:
                return name
    return folder.name


def spec_of(trial: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recorded trial, as a manifest has them."""
    params = dict(trial["task_params"])
    fraction = params.pop("fraction")
    fields = {key: trial[key] for key in ("model", "task", "dataset", "seed", "dataset_sha256")}
    params = {"model_params": trial["model_params"], "task_params": params}
    return fields | {"fraction": fraction, "arm": ""} | params
