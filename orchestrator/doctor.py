"""Can this machine run sweeps? Each check says what it found and how to mend it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
import uuid
from pathlib import Path

from orchestrator import reachable
from orchestrator.bucket import OutOfReach
from orchestrator.reachable import Check, check, clock
from orchestrator.storage import bucket_of, opened

NEEDED = (
    *("ray", "mlflow", "torch", "scanpy", "anndata", "scikit-learn", "scikit-network"),
    *("numpy", "scipy", "pandas", "numba"),
)
LEAST_FREE_GB = 2.0


def examine(storage: str, tracking_uri: str | None, address: str | None) -> list[Check]:
    """Every check: {"check", "ok", "found", "advice"}."""
    return [
        python(),
        *(package(name) for name in NEEDED),
        cores(),
        gpus(),
        *places(storage),
        free_disk("disk of Ray", Path(tempfile.gettempdir()), "set TMPDIR, or start Ray elsewhere"),
        *reachable.tracking(tracking_uri),
        *reachable.cluster(address),
        *models(),
    ]


def python() -> Check:
    """The interpreter."""
    fits = (3, 11) <= tuple(map(int, platform.python_version_tuple()[:2])) < (3, 14)
    return check("python", fits, platform.python_version(), "install Python 3.11, 3.12 or 3.13")


def package(name: str) -> Check:
    """A package we cannot do without, in a version we were tested with."""
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return check(name, False, "missing", f"run: uv sync (or pip install {name})")
    from packaging.requirements import Requirement

    declared = map(Requirement, importlib.metadata.requires("sc-gauntlet") or [])
    wanted = next(r.specifier for r in declared if r.name == name and not r.marker)
    advice = f"wanted is {wanted}: run uv sync (or pip install '{name}{wanted}')"
    return check(name, wanted.contains(found, prereleases=True), found, advice)


def models() -> list[Check]:
    """What models with weights, a checkout or an environment of their own have here: no fault,
    whatever it is."""
    from orchestrator import environments
    from orchestrator.known import weights_of
    from trainables import catalog

    found = []
    for name in catalog.names("models"):
        cls = catalog.find("models", name)
        if packages := environments.own(name):
            state = "here" if environments.made(packages) else "made when a trial first wants it"
            row = {"check": f"environment of {name}", "found": f"{', '.join(packages)} ({state})"}
            found.append({**row, "ok": True, "advice": ""})
        said = weights_of(name, cls)
        if said:
            lacking = cls.home.missing() if hasattr(cls, "home") else ""
            absent = "(here)" not in said and not lacking
            way = f"gauntlet models fetch {name} gets weights, or says how" if absent else lacking
            found.append({"check": f"model {name}", "ok": True, "found": said, "advice": way})
    return found


def cores() -> Check:
    """How many trials fit side by side."""
    return check("cores", True, len(os.sched_getaffinity(0)) if LINUX else os.cpu_count(), "")


def gpus() -> Check:
    """GPUs are welcome, never needed; but one that is there should be of use."""
    there = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    if not there:
        return check("gpus", True, 0, "")
    import torch

    advice = "torch cannot use them: install a torch built for CUDA, or let this container see them"
    if not torch.cuda.is_available():
        return check("gpus", False, f"{there}, of no use", advice)
    seen = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    said = ", ".join(f"{gpu.name} ({gpu.total_memory / 1e9:.0f} GB)" for gpu in seen)
    return check("gpus", True, said, "")


def places(storage: str) -> list[Check]:
    """Where results go: a folder, or a bucket and its copy here."""
    elsewhere = "put results elsewhere with --storage"
    if "://" not in storage:
        home = Path(storage)
        return [free_disk("disk", home, elsewhere), *keeps_records(home)]
    try:
        home = opened(storage)
        refuses = (kept := bucket_of(home)) is None or kept.conditional
    except (ValueError, OutOfReach) as error:
        return [check("storage", False, storage, str(error))]
    said = "refuses a second result" if refuses else "cannot refuse a second result"
    room = free_disk("disk", home, "set GAUNTLET_CACHE to a folder elsewhere")
    return [room, check("storage", True, f"{storage}, {said}", "")]


def free_disk(name: str, folder: Path, instead: str) -> Check:
    """Room for results."""
    whole = folder.resolve()
    there = next(place for place in (whole, *whole.parents) if place.exists())
    free = shutil.disk_usage(there).free / 1e9
    advice = f"free some space on {there}, or {instead}"
    return check(name, free > LEAST_FREE_GB, f"{free:.0f} GB free", advice)


def keeps_records(storage: Path) -> list[Check]:
    """The storage can do what keeps records safe, which some network folders cannot; and its clock
    is ours, or what is written by several machines would seem to be in another order."""
    probe = storage / f".doctor-{uuid.uuid4().hex}"
    created = not storage.exists()
    a, b, step = probe / "a", probe / "b", "writing"
    try:
        probe.mkdir(parents=True)
        with a.open("w") as file:
            file.write("here")
            file.flush()
            os.fsync(file.fileno())
        ahead = a.stat().st_mtime - time.time()
        step = "a hard link"
        os.link(a, b)
        step = "refusing a second link of one name"
        with contextlib.suppress(FileExistsError):
            os.link(a, b)
            raise OSError(0, "it was made")
        step = "renaming"
        b.rename(probe / "c")
    except OSError as error:
        advice = "choose a folder that can be written and hard-linked with --storage"
        return [check("storage", False, f"{storage}: {step}: {error.strerror}", advice)]
    finally:
        shutil.rmtree(probe, ignore_errors=True)
        if created:
            shutil.rmtree(storage, ignore_errors=True)
    return [check("storage", True, storage, ""), clock("the storage", ahead)]


LINUX = hasattr(os, "sched_getaffinity")
