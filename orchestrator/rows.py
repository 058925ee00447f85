"""The tidy table: what its rows say of a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.declared import declared
from orchestrator.records import Record
from trainables.networks import MADE_BY

COLUMNS = (
    "sweep trial_id status reason model model_version model_params task task_version task_params"
    " dataset dataset_sha256 protocol design selected_on_test batch fraction seed metric value"
    " better n_train n_eval n_classes"
    " wall_s cpu_s gpu_s peak_rss_mb peak_gpu_mb code_version started_at hostname"
).split()


def about(record: Record, sweep: str, planned: Mapping[str, Record]) -> dict[str, Any]:
    """What the rows of one trial share: `COLUMNS` without metric and value.

    `planned` is what the sweep's manifest says of each trial: `model` is the arm's name there, and
    weights that a trial of the sweep made are told by how they were made, which all seeds share.
    """
    trial, counts = record["trial"], record.get("counts", {})
    return {
        "model": planned[record["trial_id"]].get("arm") or trial["model"],
        **{key: trial[key] for key in ("model_version", "task", "task_version")},
        **{key: trial[key] for key in ("dataset", "dataset_sha256", "seed")},
        **{key: record[key] for key in ("trial_id", "status", "reason", "code_version")},
        **{key: record[key] for key in ("started_at", "hostname", "protocol")},
        **declared(record),
        **record["cost"],
        "sweep": sweep,
        "fraction": trial["task_params"]["fraction"],
        "model_params": json.dumps(told(trial["model_params"], planned), sort_keys=True),
        "task_params": json.dumps(trial["task_params"], sort_keys=True),
        **{key: counts.get(key) for key in ("n_train", "n_eval", "n_classes")},
    }


def told(params: Mapping[str, Any], planned: Mapping[str, Record]) -> dict[str, Any]:
    """Hyperparameters, with "trial:<id>" put as what that trial was: seeds then share a line."""
    return {key: planned_as(value, planned) for key, value in params.items()}


def planned_as(value: Any, planned: Mapping[str, Record]) -> Any:
    """A value as it is; for the weights of a planned trial, its model, data set and parameters."""
    maker = planned.get(str(value).removeprefix(MADE_BY)) if isinstance(value, str) else None
    if maker is None:
        return value
    params = json.dumps(told(maker["model_params"], planned), sort_keys=True)
    return f"pretrained {maker['model']} on {maker['dataset']} {params}"
