"""Can this machine run sweeps? Each check says what it found and how to mend it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import uuid
from pathlib import Path
from typing import Any

from orchestrator.bucket import OutOfReach
from orchestrator.storage import bucket_of, opened

Check = dict[str, Any]

NEEDED = ("ray", "mlflow", "scanpy", "anndata", "scikit-learn", "scikit-network", "numpy", "scipy")
LEAST_FREE_GB = 2.0


def examine(storage: str) -> list[Check]:
    """Every check: {"check", "ok", "found", "advice"}."""
    return [
        python(),
        *(package(name) for name in NEEDED),
        cores(),
        gpus(),
        *places(storage),
        *models(),
    ]


def check(name: str, ok: bool, found: Any, advice: str) -> Check:
    """One finding; the advice is kept only where it is needed."""
    return {"check": name, "ok": ok, "found": str(found), "advice": "" if ok else advice}


def python() -> Check:
    """The interpreter."""
    fits = (3, 11) <= tuple(map(int, platform.python_version_tuple()[:2])) < (3, 14)
    return check("python", fits, platform.python_version(), "install Python 3.11, 3.12 or 3.13")


def package(name: str) -> Check:
    """A package we cannot do without."""
    try:
        return check(name, True, importlib.metadata.version(name), "")
    except importlib.metadata.PackageNotFoundError:
        return check(name, False, "missing", f"run: uv sync (or pip install {name})")


def models() -> list[Check]:
    """What models with weights or a checkout of their own have here: no fault, whatever it is."""
    from orchestrator.show import weights_of
    from trainables import catalog

    found = []
    for name in catalog.names("models"):
        cls = catalog.find("models", name)
        said = weights_of(name, cls)
        if said:
            lacking = cls.home.missing() if hasattr(cls, "home") else ""
            absent = "(here)" not in said and not lacking
            way = f"gauntlet models fetch {name} says how to get weights" if absent else lacking
            found.append({"check": f"model {name}", "ok": True, "found": said, "advice": way})
    return found


def cores() -> Check:
    """How many trials fit side by side."""
    return check("cores", True, len(os.sched_getaffinity(0)) if LINUX else os.cpu_count(), "")


def gpus() -> Check:
    """GPUs are welcome, never needed."""
    found = sorted(path.name for path in Path("/proc/driver/nvidia/gpus").glob("*"))
    return check("gpus", True, len(found), "")


def places(storage: str) -> list[Check]:
    """Where results go: a folder, or a bucket and its copy here."""
    if "://" not in storage:
        return [free_disk(Path(storage)), writable(Path(storage))]
    try:
        home = opened(storage)
        refuses = (kept := bucket_of(home)) is None or kept.conditional
    except (ValueError, OutOfReach) as error:
        return [check("storage", False, storage, str(error))]
    said = "refuses a second result" if refuses else "cannot refuse a second result"
    return [free_disk(home), check("storage", True, f"{storage}, {said}", "")]


def free_disk(storage: Path) -> Check:
    """Room for results."""
    there = next(
        place for place in (storage.resolve(), *storage.resolve().parents) if place.exists()
    )
    free = shutil.disk_usage(there).free / 1e9
    advice = f"free some space, or put results elsewhere with --storage (now {there})"
    return check("disk", free > LEAST_FREE_GB, f"{free:.0f} GB free", advice)


def writable(storage: Path) -> Check:
    """The storage keeps records by hard link and rename, which some network folders refuse."""
    probe = storage / f".doctor-{uuid.uuid4().hex}"
    created = not storage.exists()
    try:
        probe.mkdir(parents=True)
        (probe / "a").write_text("")
        os.link(probe / "a", probe / "b")
        (probe / "b").rename(probe / "c")
    except OSError as error:
        advice = "choose a folder that can be written and hard-linked with --storage"
        return check("storage", False, f"{storage}: {error.strerror}", advice)
    finally:
        shutil.rmtree(probe, ignore_errors=True)
        if created:
            shutil.rmtree(storage, ignore_errors=True)
    return check("storage", True, storage, "")


LINUX = hasattr(os, "sched_getaffinity")
