"""Environments of models whose packages cannot live with ours: made once a machine, over ours.

What a model declares in `Card.packages` and ours lacks is installed into a virtual environment of
its own, with what follows from it, and nothing else: all other packages are seen through to ours.
It is named by all that it was made from, lies in `$GAUNTLET_CACHE/environments`, and may be deleted
whenever nothing runs.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from orchestrator.storage import caches
from trainables import catalog
from trainables.store import Store

NAMES = "in_place_of_ours.json"
"""The file of an environment that says which packages it has in place of ours, or beside them."""
CORE = "import anndata, pandas, pyarrow.parquet, ray"
"""What every worker loads, which must stand the packages of an environment."""


class Unmade(ValueError):
    """An environment that cannot be made: why, in one sentence; `trace` is all that was said."""

    def __init__(self, sentence: str, trace: str = "") -> None:
        super().__init__(sentence)
        self.trace = trace


def lacking(packages: Iterable[str]) -> list[str]:
    """The requirements that this process does not meet, with what it has instead.

    >>> lacking(["numpy>=2", "numpy<2,>1"])[0].startswith("numpy<2,>1 (here is numpy 2")
    True
    """
    from packaging.requirements import Requirement

    found = []
    for text in packages:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            here = distribution(wanted.name)
        except PackageNotFoundError:
            found.append(f"{text} (which is not here)")
            continue
        from_there = not wanted.url or wanted.url in (here.read_text("direct_url.json") or "")
        if not (from_there and wanted.specifier.contains(here.version, prereleases=True)):
            found.append(f"{text} (here is {here.name} {here.version})")
    return found


def own(model: str) -> tuple[str, ...]:
    """What a model's environment is made from; () for one that runs in ours.

    Raises ValueError for a card that declares what is no requirement.
    """
    from packaging.requirements import InvalidRequirement

    packages = catalog.card(model).packages
    try:
        return packages if lacking(packages) else ()
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"the card of {model} declares no packages that pip knows: {reason}"
        ) from None


def refuse_ours(model: str) -> None:
    """Raise LookupError in a process that is not of the environment that a model wants."""
    if short := lacking(catalog.card(model).packages):
        raise LookupError(
            f"{model} wants {', '.join(short)}: give it that here, or let `gauntlet run` give it an"
            " environment of its own"
        )


def here() -> dict[str, str]:
    """The packages that this process has in place of ours, and their versions; {} in ours."""
    try:
        return json.loads((Path(sys.prefix) / NAMES).read_text())
    except FileNotFoundError:
        return {}


# ---- making ---------------------------------------------------------------------------------


def python(packages: Sequence[str]) -> Path:
    """The interpreter of the environment for these packages, made first if it is not here yet.

    Others that want it meanwhile wait. Raises Unmade.
    """
    made = environments().get(recipe(packages), lambda draft: make(draft, packages))
    return interpreter(made)


def made(packages: Sequence[str]) -> bool:
    """Whether this machine has it."""
    return environments().find(recipe(packages)) is not None


def environments() -> Store:
    """Those of this machine."""
    return Store(caches() / "environments", sealed=False)


def recipe(packages: Sequence[str]) -> dict[str, object]:
    """All that an environment is made from: what was asked, and what it is laid over."""
    return {
        "packages": sorted(packages),
        "python": sys.version,
        "over": sys.prefix,
        "ours": sorted(f"{name}=={version}" for name, version in versions().items()),
    }


@cache
def versions() -> dict[str, str]:
    """All that is installed here, by its name as packages are told apart."""
    found = reversed(list(distributions(path=sites())))
    return {plain(d.name): d.version for d in found if d.name}


def sites() -> list[str]:
    """The folders of installed packages: without those that Ray or a job has put before them."""
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def plain(name: str) -> str:
    """A distribution's name as packages are told apart.

    >>> plain("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def make(draft: Path, packages: Sequence[str]) -> None:
    """Fill a draft with an environment. Raises Unmade."""
    asked = f"the packages {', '.join(packages)} cannot be given an environment of their own"
    wanted = differing(packages, draft, asked)
    if any(plain(re.split(r"[ =@]", each)[0]) == "ray" for each in wanted):
        raise Unmade(f"{asked}: they want another Ray than the one that runs them")
    layered(draft)
    uv = ["pip", "install", "--no-deps", "--python", str(interpreter(draft)), *wanted]
    said(uv_command(asked, draft), uv, draft, asked)
    shown = said([str(interpreter(draft))], ["-c", f"{CORE}\n{SHOW}", *wanted], draft, asked)
    (draft / NAMES).write_text(shown.splitlines()[-1])


SHOW = """
import json, re, sys
from importlib.metadata import version
names = [re.split("[ =@]", wanted)[0] for wanted in sys.argv[1:]]
print(json.dumps({name: version(name) for name in sorted(names)}))
"""


def differing(packages: Sequence[str], folder: Path, asked: str) -> list[str]:
    """What has to be installed besides, or in place of, what is here: each with its version.

    `uv` looks what it would change here, and changes nothing.
    """
    words = ["pip", "install", "--dry-run", "--python", sys.executable, *packages]
    told = said(uv_command(asked, folder), words, folder, asked)
    lines = [line.removeprefix(" + ") for line in told.splitlines() if line.startswith(" + ")]
    # older ones: "name==1.0 (from file:///...)"
    return [re.sub(r"==\S+ \(from (.*)\)$", r" @ \1", line) for line in lines]


def uv_command(asked: str, folder: Path) -> list[str]:
    """How `uv` is called here."""
    for place in (shutil.which("uv"), Path(sys.prefix) / "bin/uv", Path.home() / ".local/bin/uv"):
        if place is not None and Path(place).exists():
            return [str(place), "--color", "never", "--directory", str(folder)]
    raise Unmade(f"{asked}: uv is not here; pip install uv on every machine")


def said(command: Sequence[str], words: Sequence[str], folder: Path, asked: str) -> str:
    """What a command says. Raises Unmade where it fails."""
    done = subprocess.run(
        [*command, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise Unmade(f"{asked}: {in_a_line(done.stdout)}", done.stdout)
    return done.stdout


def in_a_line(told: str) -> str:
    """The error in what uv or Python said: what follows uv's "cause", else the last line.

    >>> in_a_line("error: No solution found\\n  cause: Because x was not found,\\n    it ends.\\n")
    'Because x was not found, it ends.'
    >>> in_a_line("Traceback:\\nImportError: numpy is too old\\n")
    'ImportError: numpy is too old'
    """
    words = " ".join(re.sub(r"[^ -~]+", " ", told).split())  # without the frames that uv draws
    for mark in ("cause: ", "dependencies: ", "error: "):
        if mark in words:
            return words.partition(mark)[2][:300]
    return (told.strip().splitlines() or ["it said nothing"])[-1][:300]


def layered(folder: Path) -> None:
    """An environment through which all packages of this one are seen, and hidden by its own."""
    venv.create(folder, symlinks=True)
    name = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    # `addsitedir`, since ours may have such files of its own, as editable packages do
    line = f"import site; list(map(site.addsitedir, {sites()!r}))\n"
    (folder / name / "over_ours.pth").write_text(line)


def interpreter(folder: Path) -> Path:
    """An environment's Python."""
    return folder / "bin/python"
