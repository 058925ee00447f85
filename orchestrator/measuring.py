"""What a trial costs, and the cores that it may use."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def measured(cost: dict[str, float]) -> Iterator[None]:
    """Fill `cost` with seconds of wall and CPU and the peak resident memory of what runs inside."""
    reset_peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        cost["wall_s"] = round(time.perf_counter() - wall, 4)
        cost["cpu_s"] = round(time.process_time() - cpu, 4)
        cost["peak_rss_mb"] = round(peak_memory_mb(), 1)


def reset_peak_memory() -> None:
    """Forget the peak that an earlier trial left in this warm process, where Linux lets us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """The process's peak resident memory since the last reset, in MB."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextlib.contextmanager
def threads(cpus: int) -> Iterator[None]:
    """As many BLAS and OpenMP threads as the trial was given cores: sums then round the same way
    alone and among others. Libraries that the trial is the first to load read their environment."""
    asked = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(cpus)
    try:
        with thread_pools(len(sys.modules)).limit(limits=cpus):
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(cpus)  # its own number stands above OpenMP's
            yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if asked is not None:
            os.environ["OMP_NUM_THREADS"] = asked


@lru_cache(maxsize=1)
def thread_pools(loaded: int) -> Any:
    """The libraries that have threads; looked for anew when more modules are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
