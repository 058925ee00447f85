"""Weights that authors publish: how to get them, what is here, and whether they changed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainables.downloads import USUAL, Patience, Progress, fetch, silent
from trainables.external import environment, placeholder
from trainables.first_sight import FirstSight
from trainables.layouts import plain_file
from trainables.networks import weights
from trainables.official_files import verdict
from trainables.origins import unpacked
from trainables.store import file_sha256

GIVEN = "--from FILE [--from FILE ...]"


@dataclass(frozen=True)
class PublishedWeights:
    """One variant of a model's weights."""

    model: str
    variant: str
    page: str
    files: tuple[str, ...]
    urls: Mapping[str, str] = field(default_factory=dict)
    """Where each file is; empty where only a browser gets them."""
    revision: str = ""
    """Commit of the hub that the addresses name."""
    optional: tuple[str, ...] = ()
    """Names of files without which the weights work."""

    @property
    def folder(self) -> Path:
        """Where they are, or would be."""
        return weights.home() / self.model / self.variant

    def missing(self) -> list[str]:
        """The files that are not here yet, and that the weights cannot do without."""
        return [name for name in self.absent() if name not in self.optional]

    def absent(self) -> list[str]:
        """All files that are not here yet."""
        return [name for name in self.files if not (self.folder / name).is_file()]

    @property
    def command(self) -> str:
        """What gets them, or is given them."""
        return f"gauntlet models fetch {self.model} --variant {self.variant}"

    def way(self) -> str:
        """How to get them, in one sentence."""
        if self.urls:
            here = f"the weights {self.variant!r} of {self.model} are not here"
            return f"{here}; get them with: {self.command}"
        return (
            f"the weights {self.variant!r} of {self.model} can only be downloaded by hand: open"
            f" {self.page}, download {', '.join(self.missing() or self.files)} or the whole folder"
            f" as a zip, then run: {self.command} {GIVEN}"
        )

    def download(
        self, patience: Patience = USUAL, progress: Callable[[str], Progress] = lambda name: silent
    ) -> None:
        """Get what is missing; `progress(name)` gives each file's listener.

        Raises LookupError for what cannot be had, and ValueError for a file that differs from the
        one recorded before.
        """
        for name in self.missing():
            if name not in self.urls:
                if self.taken_from_another_variant(name):
                    continue
                raise LookupError(self.way())
            draft = self.folder.with_name(f"{self.variant}.downloads") / name
            try:
                fetch(self.urls[name], draft, patience=patience, progress=progress(name))
            except LookupError as error:
                raise LookupError(
                    f"{error}; or get {', '.join(self.missing())} on another machine from"
                    f" {self.page} and run: {self.command} {GIVEN}"
                ) from error
            self.keep(draft, name)

    def download_optional(
        self, patience: Patience = USUAL, progress: Callable[[str], Progress] = lambda name: silent
    ) -> list[str]:
        """Get absent optional files; those that cannot be had, for the caller to name."""
        for name in set(self.absent()) & set(self.optional) & set(self.urls):
            draft = self.folder.with_name(f"{self.variant}.downloads") / name
            with contextlib.suppress(LookupError):
                fetch(self.urls[name], draft, patience=patience, progress=progress(name))
                self.keep(draft, name)
        return [name for name in self.absent() if name in self.optional]

    def keep(self, draft: Path, name: str) -> None:
        """Put a downloaded file to its place and record its hash.

        Raises LookupError for a page in its stead, ValueError for another file than before.
        """
        if problem := placeholder(draft):
            draft.unlink()
            raise LookupError(f"{name} from {self.urls[name]} {problem}")
        self.seen.compare(name, file_sha256(draft))
        self.folder.mkdir(parents=True, exist_ok=True)
        draft.replace(self.folder / name)
        replace(self.seen, revision=self.revision).hash(self.folder / name)

    def taken_from_another_variant(self, name: str) -> bool:
        """Copy a file that another variant of the model has too, such as a list of genes."""
        found = sorted(self.folder.parent.glob(f"*/{name}"))
        if found:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder.parent / f"{name}.draft"
            shutil.copyfile(found[0], draft)
            draft.replace(self.folder / name)
        return bool(found)

    def take(self, given: Sequence[Path]) -> None:
        """Copy files that a browser saved, loose, packed or in a zip, to their place; record new
        hashes.

        Raises LookupError for files that are not there or not among ours, and ValueError for a
        file that differs from the one recorded before.
        """
        for path in given:
            if not path.is_file():
                raise LookupError(f"there is no file {path}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder.parent))
            found: dict[str, Path] = {}
            for path in given:
                zipped = path.suffix == ".zip"
                inside = unpacked(path, set(self.files), Path(scratch)) if zipped else {}
                plain = stack.enter_context(plain_file(path)) if path.suffix == ".gz" else path
                found |= inside or {plain.name: plain}
            ours = {name: path for name, path in found.items() if name in self.files}
            if not ours:
                raise LookupError(
                    f"{', '.join(found)} is no file of {self.model} {self.variant}; it consists of:"
                    f" {', '.join(self.files)}"
                )
            for name, path in ours.items():
                if problem := placeholder(path):
                    raise ValueError(f"{path} {problem}")
                self.seen.compare(name, file_sha256(path))
                if path.absolute() != self.folder / name:
                    draft = self.folder.parent / f"{name}.draft"
                    shutil.copyfile(path, draft)
                    draft.replace(self.folder / name)
        self.hashes()

    @property
    def seen(self) -> FirstSight:
        """The recorded hashes, beside the folder: what lies inside is part of its identity."""
        ledger = self.folder.with_name(f"{self.variant}.hashes.json")
        way = f"get it back, or remove {ledger} if the new one is right"
        return FirstSight(ledger, f"{self.model} {self.variant}", way)

    def verdicts(self, found: Mapping[str, str]) -> dict[str, str]:
        """Whether each file is the official one, in words, for those whose hash is known.

        `found`: sha256 by name.
        """
        said = {n: verdict(self.model, self.variant, n, sha256) for n, sha256 in found.items()}
        return {name: words for name, words in said.items() if words}

    def hashes(self) -> dict[str, str]:
        """Every present file's sha256; ValueError where one changed since it was first seen."""
        present = [name for name in self.files if (self.folder / name).is_file()]
        return {name: self.seen.hash(self.folder / name, anew=True) for name in present}


def at_hub(repository: str, revision: str, path: str) -> str:
    """Address of a file of one commit at Hugging Face, or at the mirror that $HF_ENDPOINT names."""
    hub = environment("HF_ENDPOINT", "https://huggingface.co")
    return f"{hub.rstrip('/')}/{repository}/resolve/{revision}/{path}"
