"""Content-addressed artifacts: made once, whole or not at all, then only read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainables import seals
from trainables.leases import waited_for


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN.

    >>> canonical({"b": 1, "a": (2.0, None)})
    '{"a":[2.0,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Elsewhere(Protocol):
    """Where artifacts are kept for machines that share no folder."""

    def fetch(self, key: str, draft: Path) -> bool:
        """Fill a draft with an artifact, whole; False where it is not kept."""
        ...

    def keep(self, key: str, made: Path) -> bool:
        """Keep a whole artifact, for all; False where another was kept first, which stands."""
        ...

    def drop(self, key: str) -> None:
        """Keep an artifact no longer, as it is damaged."""
        ...


@dataclass(frozen=True)
class Store:
    """A folder of artifacts, each a folder named by the hash of its recipe.

    What is not here is looked for `elsewhere`, and what is made here is kept there, too. A damaged
    artifact counts as not made, see `trainables.seals`; with `sealed` off nobody looks for damage.
    """

    root: Path
    elsewhere: Elsewhere | None = None
    sealed: bool = True

    def home(self, recipe: Mapping[str, Any]) -> Path:
        """Where the artifact of this recipe is, or would be."""
        key = digest(dict(recipe))
        return self.root / key[:2] / key

    def get(self, recipe: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """The artifact's folder; on a miss `make(draft)` fills it first.

        Others that want it meanwhile wait, on whatever machine they are. A process that dies while
        making leaves only a draft, which nobody reads, and one of those who wait takes over.
        """
        home = self.home(recipe)
        if not self.whole(home):
            with waited_for(self.root / "leases", home.name):
                if not self.whole(home):
                    self.put_away(home)
                    self.fill(home, recipe, make)
        return home

    def whole(self, home: Path) -> bool:
        """Whether an artifact is there, with the files that it was made with."""
        if not os.path.lexists(home):
            return False
        return not self.sealed or not seals.damage(home)

    def put_away(self, home: Path) -> None:
        """Delete a damaged artifact; a process that has its files open may go on."""
        if os.path.lexists(home):
            print(
                f"gauntlet: {home} is damaged ({seals.damage(home)}): made again", file=sys.stderr
            )
            aside = self.root / "drafts" / uuid.uuid4().hex
            aside.parent.mkdir(exist_ok=True)
            home.rename(aside)
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()

    def find(self, recipe: Mapping[str, Any]) -> Path | None:
        """The artifact's folder; None where nobody has made it yet."""

        def cannot(draft: Path) -> None:
            raise FileNotFoundError(draft)

        home = self.home(recipe)
        if self.elsewhere is not None and not self.whole(home):
            with contextlib.suppress(FileNotFoundError):
                return self.get(recipe, cannot)
        return home if self.whole(home) else None

    def fill(self, home: Path, recipe: Mapping[str, Any], make: Callable[[Path], None]) -> None:
        """Fetch or make the artifact, in a draft that becomes it when it is whole."""
        draft = self.root / "drafts" / uuid.uuid4().hex
        draft.mkdir(parents=True)
        try:
            if not self.fetched(home.name, draft):
                make(draft)
                (draft / "recipe.json").write_text(canonical(dict(recipe)))
                seals.seal(draft)
                # first there: what one finds here, all find
                if self.elsewhere is not None and not self.elsewhere.keep(home.name, draft):
                    shutil.rmtree(draft)
                    draft.mkdir()
                    self.elsewhere.fetch(home.name, draft)
            home.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.rename(home)  # readers see a whole artifact or none
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def fetched(self, key: str, draft: Path) -> bool:
        """Fill a draft with what is kept elsewhere, if that is whole; a damaged one is dropped."""
        if self.elsewhere is None or not self.elsewhere.fetch(key, draft):
            return False
        if not (self.sealed and seals.damage(draft)):
            return True
        self.elsewhere.drop(key)
        shutil.rmtree(draft)
        draft.mkdir()
        return False
