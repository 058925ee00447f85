"""Where published cells come from, what must be true of them, and where they lie on this disk."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trainables.downloads import USUAL, Patience, Progress, silent, verify
from trainables.first_sight import FirstSight
from trainables.intake.decision import IntakeOptions
from trainables.origins import ByHand, File, adding, data_home, unpacked
from trainables.paths import below
from trainables.store import digest, file_sha256

FALLBACK = IntakeOptions(fallback="lognorm")
UNSTATED = "not stated by the authors"
WORDS = {
    **{name: name for name in ("cells", "genes", "labels", "batches")},
    "train": "training cells",
    "test": "test cells",
}


@dataclass(frozen=True)
class Facts:
    """What a paper's table says of its cells; None where it says nothing."""

    cells: int | None = None
    genes: int | None = None
    labels: int | None = None
    batches: int | None = None
    train: int | None = None
    test: int | None = None


@dataclass(frozen=True)
class Published:
    """A data set of the literature: a declaration, and what follows from it.

    `reader` gets the paths of `files`, in their order, and gives an AnnData with the authors' own
    columns. `label_key` and `batch_key` name columns of its `obs`; several batch columns count
    together. A reader may mark the paper's fixed split in `obs["split"]` ("train", "test").
    """

    name: str
    summary: str
    citation: str
    licence: str
    files: tuple[File, ...]
    reader: Callable[[list[Path]], Any]
    values: str
    """What X is, in words."""
    label_key: str | None = None
    batch_key: str | tuple[str, ...] | None = None
    split: str = "none"
    """The paper's split, in words."""
    facts: Facts = Facts()
    inferred: tuple[str, ...] = ()
    """Facts that hold only if our reading of the paper is right: a mismatch is a note."""
    unknown: tuple[str, ...] = ()
    """What could not be established, in words."""
    options: IntakeOptions = FALLBACK
    """Options of the intake: values that cannot be recognised are what their authors say."""
    version: int = 1
    """Goes up when the reader gives other cells from the same files."""
    home: Path | None = field(default=None, compare=False)
    """Where files are kept, instead of under `data_home()`."""

    @property
    def folder(self) -> Path:
        """This data set's own folder."""
        return below(self.home or data_home(), self.name)

    def paths(self) -> list[Path]:
        """Where the files are, or would be."""
        return [below(self.folder, file.file) for file in self.files]

    def missing(self) -> list[File]:
        """The files that are not here yet."""
        pairs = zip(self.files, self.paths(), strict=True)
        return [file for file, path in pairs if not path.exists()]

    @property
    def sha256(self) -> str:
        """The identity of the files' bytes and of how they are read.

        Known beforehand where every file's hash is published; else the files must be here.
        Raises LookupError, saying how to get them, when they are not, and ValueError when one has
        changed since its hash was recorded.
        """
        hashes = {}
        for file, path in zip(self.files, self.paths(), strict=True):
            if not path.exists() and not file.sha256:
                raise LookupError(self.way())
            hashes[file.file] = self.recorded(file, path) if path.exists() else file.sha256
        keys = {"label_key": self.label_key, "batch_key": self.batch_key}
        return digest({"files": hashes, "reading": self.version, **keys})

    def way(self) -> str:
        """How to get what is missing, in one sentence."""
        missing = self.missing()
        by_hand = [file for file in missing if isinstance(file, ByHand)]
        if by_hand:
            names = " and ".join(file.file for file in by_hand)
            return (
                f"{self.name} is not on this disk and can only be downloaded by hand: open"
                f" {by_hand[0].page}, save {names}, then run: {adding(self.name, by_hand)}"
            )
        return f"{self.name} is not on this disk; get it with: gauntlet data fetch {self.name}"

    def fetch(
        self,
        *,
        again: bool = False,
        patience: Patience = USUAL,
        progress: Callable[[str], Progress] = lambda file: silent,
    ) -> list[Path]:
        """Get the files that are missing, or all of them `again`; returns where all are.

        `progress(file)` gives each file's listener. Raises LookupError for what cannot be had.
        """
        for file, path in zip(self.files, self.paths(), strict=True):
            if again or not path.exists():
                file.get(path, self.name, patience, progress(file.file))
                self.seen.record(path)
        return self.paths()

    def add(self, given: Sequence[Path], *, replace: bool = False) -> list[Path]:
        """Take files that were downloaded elsewhere, loose or in a zip, under their own names.

        Raises LookupError for files that are not there or not this data set's and ValueError for
        those that are not what was published, or differ from what is here already.
        """
        for path in given:
            if not path.is_file():
                raise LookupError(f"there is no file {path}")
        with contextlib.ExitStack() as stack:
            found = self.matched(given, stack)
            for file, source in found:
                verify(source, source.name, file.sha256, file.git_blob)
                self.take(source, self.folder / file.file, replace)
        return [self.folder / file.file for file, _ in found]

    def matched(
        self, given: Sequence[Path], stack: contextlib.ExitStack
    ) -> list[tuple[File, Path]]:
        """Which given file is which of ours: by name, or the only one for the only one."""
        by_name = {path.name: path for path in given}
        for path in given:
            if path.suffix == ".zip" and path.name not in [file.file for file in self.files]:
                by_name |= self.inside(path, stack)
        found = [(file, by_name[file.file]) for file in self.files if file.file in by_name]
        if not found and len(self.files) == len(given) == 1:
            ours, theirs = self.files[0], given[0]
            if Path(ours.file).suffixes[-1:] == theirs.suffixes[-1:]:
                return [(ours, theirs)]
        if not found:
            wanted = ", ".join(file.file for file in self.files)
            names = ", ".join(path.name for path in given)
            raise LookupError(f"{names} is no file of {self.name}; it consists of: {wanted}")
        return found

    def inside(self, archive: Path, stack: contextlib.ExitStack) -> dict[str, Path]:
        """Our files inside a zip, as Google Drive makes one of a folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder)))
        return unpacked(archive, {file.file for file in self.files}, folder)

    def take(self, source: Path, path: Path, replace: bool) -> None:
        """Copy a file to its place, whole or not at all, and record its hash."""
        known = self.seen.entries().get(path.name)
        if known and not replace and file_sha256(source) != known["sha256"]:
            raise ValueError(
                f"{self.name}: another {path.name} was recorded here on {known['since'][:10]}"
                f" (sha256 {known['sha256'][:12]}); to put this one in its place add --replace"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.exists() and path.samefile(source)):  # a browser may have saved it there
            draft = path.with_name(path.name + ".draft")
            shutil.copyfile(source, draft)
            draft.replace(path)
        self.seen.record(path)

    @property
    def seen(self) -> FirstSight:
        """The recorded hashes of the files that are here."""
        back = f"get it back with: gauntlet data fetch {self.name} --again"
        return FirstSight(self.folder / "hashes.json", self.name, back)

    def recorded(self, file: File, path: Path, *, anew: bool = False) -> str:
        """A present file's hash; see `FirstSight.hash`.

        Raises ValueError when the bytes are not the recorded or published ones.
        """
        if path.name not in self.seen.entries():  # put there by other means than ours
            verify(path, path.name, file.sha256, file.git_blob)
        return self.seen.hash(path, anew=anew)

    # ---- reading ------------------------------------------------------------------------------

    def read(self) -> Any:
        """The cells with `cell_type`, perhaps `batch` and `split`, proven to be the paper's.

        Raises LookupError when files are missing and ValueError, in one sentence, when they are
        damaged, lack a column, or disagree with what the paper says of them.
        """
        cells = self.open()
        wrong = [sentence for name, sentence in self.mismatches(cells) if name not in self.inferred]
        if wrong:
            raise ValueError(
                f"{self.name}: {'; '.join(wrong)}. This is not what the paper used; fetch it again,"
                " or run it as your own cells with --data"
            )
        return cells

    def open(self) -> Any:
        """The cells under the names that the rest of Gauntlet knows, facts not yet compared."""
        if self.missing():
            raise LookupError(self.way())
        for file, path in zip(self.files, self.paths(), strict=True):
            self.recorded(file, path, anew=True)
        cells = self.reader(self.paths())
        notes = [f"X: {self.values}", *self.unknown, *cells.uns.get("notes", [])]
        if self.label_key:
            cells = labelled(cells, self.column(cells, self.label_key), notes, self.name)
        if self.batch_key:
            keys = (self.batch_key,) if isinstance(self.batch_key, str) else self.batch_key
            parts = [self.column(cells, key).astype(str) for key in keys]
            cells.obs["batch"] = parts[0].str.cat(parts[1:], sep=", ").astype("category")
        notes += [s for name, s in self.mismatches(cells) if name in self.inferred]
        cells.uns["notes"] = notes
        return cells

    def column(self, cells: Any, key: str) -> Any:
        """A column of `obs`, or a sentence with those there are."""
        if key not in cells.obs:
            there = ", ".join(map(str, cells.obs.columns)) or "none"
            raise ValueError(f"{self.name}: its files have no obs[{key!r}]; there are: {there}")
        return cells.obs[key]

    def mismatches(self, cells: Any) -> list[tuple[str, str]]:
        """Facts that are not so, each with a sentence."""
        found = asdict(counted(cells))
        return [
            (name, f"it has {found[name]:,} {WORDS[name]} where {expected:,} are expected")
            for name, expected in asdict(self.facts).items()
            if expected is not None and found[name] != expected
        ]


def counted(cells: Any) -> Facts:
    """The facts of the cells at hand; without a column for it, they are one batch."""
    split = cells.obs["split"].value_counts() if "split" in cells.obs else {}
    return Facts(
        cells=cells.n_obs,
        genes=cells.n_vars,
        labels=int(cells.obs["cell_type"].nunique()) if "cell_type" in cells.obs else 0,
        batches=int(cells.obs["batch"].nunique()) if "batch" in cells.obs else 1,
        train=int(split.get("train", 0)),
        test=int(split.get("test", 0)),
    )


def labelled(cells: Any, labels: Any, notes: list[str], name: str) -> Any:
    """The cells with their labels as `cell_type`; those without one are left out and counted."""
    import pandas as pd

    known = labels.notna().to_numpy() & (labels.astype(str).str.strip() != "").to_numpy()
    if not known.any():
        raise ValueError(f"{name}: no cell has a label in obs[{labels.name!r}]")
    if not known.all():
        notes.append(f"{(~known).sum()} cells without a label are left out")
        cells, labels = cells[known].copy(), labels[known]
    cells.obs["cell_type"] = pd.Categorical(labels.astype(str).to_numpy())
    return cells
