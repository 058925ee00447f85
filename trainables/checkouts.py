"""Models that live in their authors' checkout: what is missing of it, and asking it elsewhere.

Their code is neither copied nor imported: a script of ours in `runners/` drives it in a process of
its own, in whatever interpreter its requirements want, and arrays go there and back as `.npz`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from trainables.external import External, absolute, environment, find, placeholder
from trainables.protocols import Context, Unavailable
from trainables.store import digest, file_sha256

PROBE = """
import sys
from importlib.metadata import PackageNotFoundError, version
for wanted in sys.argv[1:]:
    name, _, start = wanted.partition("=")
    try:
        found = version(name)
    except PackageNotFoundError:
        found = ""
    if not found or not found.startswith(start):
        print(name, start and start + "*", found and f"(it has {found})")
"""
VARIABLES = (
    *("PATH", "HOME", "USER", "LANG", "LC_", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD"),
    *("CUDA_", "NVIDIA_", "NCCL_", "ROCR_", "HIP_", "OPENBLAS_", "MKL_", "KMP_"),
)
"""Beginnings of the variables that an interpreter and its GPU need; they decide no result."""


@dataclass(frozen=True)
class Checkout:
    """A repository that a user has cloned, and the interpreter that can run it."""

    model: str
    page: str
    """Where it is cloned from."""
    needs: tuple[str, ...]
    """The files that are driven or read, relative to its root; they are part of a trial's id."""
    packages: tuple[str, ...]
    """Distributions that its code imports, "name" or "name=start of the version"."""

    @property
    def variable(self) -> str:
        """The environment variable that names the folder; with `_PYTHON` behind, the interpreter.

        >>> Checkout("scfoundation", "", (), ()).variable
        'GAUNTLET_SCFOUNDATION'
        """
        return f"GAUNTLET_{self.model.upper()}"

    def python(self, given: str = "") -> str:
        """Interpreter of a parameter, else of the environment variable, else this one."""
        chosen = given or environment(f"{self.variable}_PYTHON")
        return str(absolute(chosen)) if chosen else sys.executable

    def folder(self, given: str = "") -> Path | None:
        """Folder of a parameter, else of the environment variable, else None."""
        chosen = given or environment(self.variable)
        return absolute(chosen) if chosen else None

    def external(self, given: str = "") -> External | None:
        """The files that are driven or read; None where one is not there."""
        folder = self.folder(given)
        return find(folder, self.needs) if folder else None

    def external_python(self, given: str = "") -> External | None:
        """The chosen interpreter; None for this one, which every worker has."""
        python = Path(self.python(given))
        if str(python) == sys.executable:
            return None
        return find(python.parent, [], python.name, portable=False)

    def missing(self, given: str = "", python: str = "") -> str:
        """Why it cannot run and how to mend that, in one sentence; "" where it can."""
        folder = self.folder(given)
        if folder is None:
            return (
                f"{self.model} runs from a checkout of its own: git clone {self.page}, then set"
                f" {self.variable} to that folder"
            )
        absent = [name for name in self.needs if not (folder / name).is_file()]
        if absent:
            return (
                f"{folder}, where {self.model}'s checkout should be, lacks {listed(absent)};"
                f" set {self.variable} to a clone of {self.page}, or complete it"
            )
        pointers = [name for name in self.needs if placeholder(folder / name)]
        if pointers:
            return (
                f"{listed(pointers)} in {folder} only point to what Git LFS holds; run git lfs"
                f" pull there, or download them as {self.page} says"
            )
        interpreter = self.python(python)
        lacking = lacked(interpreter, self.packages)
        if lacking:
            return (
                f"the interpreter {interpreter} lacks {lacking} for {self.model}; install that,"
                f" or set {self.variable}_PYTHON to one that has it"
            )
        return ""

    def check(self, given: str = "", python: str = "") -> Path:
        """The folder; Unavailable, in one sentence, where it cannot run: other models can."""
        if sentence := self.missing(given, python):
            raise Unavailable(sentence)
        folder = self.folder(given)
        assert folder is not None
        return folder

    def identity(self, given: str = "") -> str:
        """What stands for the checkout in a trial's id: the content of what is driven or read."""
        folder = self.folder(given)
        if folder is None or not all((folder / name).is_file() for name in self.needs):
            return "absent"
        return f"sha256:{digest([file_sha256(folder / name) for name in self.needs])}"

    def ask(
        self,
        job: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        ctx: Context,
        given: str = "",
        python: str = "",
    ) -> np.ndarray:
        """What the runner of this model makes of the arrays: an embedding, a row a cell.

        `job`: plain words and numbers for the runner; `given` and `python`: the parameters that
        name the clone and its interpreter. The process runs in the trial's scratch folder, with
        the variables of `VARIABLES` alone. Raises Unavailable as `check`, and RuntimeError with
        the last line of what the process said where it fails.
        """
        folder = self.check(given, python)
        ctx.scratch.mkdir(parents=True, exist_ok=True)
        there, back = (ctx.scratch / f"{self.model}-{way}.npz" for way in ("there", "back"))
        np.savez(there, **arrays)  # pyright: ignore[reportArgumentType]
        told = {"checkout": str(folder), "there": str(there), "back": str(back), **job}
        told |= {"device": ctx.device, "seed": ctx.seed, "parent": os.getpid()}
        runner = Path(__file__).parent / "runners" / f"{self.model}.py"
        done = subprocess.run(
            [self.python(python), "-I", str(runner), json.dumps(told)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ctx.scratch,
            env=passed_on() | {"OMP_NUM_THREADS": str(ctx.cpus)},
        )
        print(done.stdout, done.stderr, sep="")  # into the trial's log
        there.unlink()
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise RuntimeError(f"{self.model}'s own process failed: {last}")
        with np.load(back) as held:
            embedding = np.asarray(held["embedding"], dtype=np.float32)
        back.unlink()
        return embedding


def passed_on() -> dict[str, str]:
    """The variables that the authors' process gets of this one's."""
    return {name: os.environ[name] for name in os.environ if name.startswith(VARIABLES)}


def listed(names: list[str]) -> str:
    """The first three, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@lru_cache(maxsize=16)
def lacked(python: str, packages: tuple[str, ...]) -> str:
    """Which of these distributions an interpreter has not; nothing is imported to find out."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", PROBE, *packages], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return f"everything ({error.strerror})"
    if done.returncode:
        return "everything (it does not run as a Python)"
    return ", ".join(" ".join(line.split()) for line in done.stdout.splitlines())
