"""Where results live: a folder, or `s3://BUCKET/PREFIX` and a folder here that is kept like it.

All else reads and writes a storage as a folder. What makes a bucket one is said in here, in verbs
that ask nothing of a storage that is just a folder: `fresh` before reading, `create` and `share`
to write. Records, manifests, leases, checkpoints and all artifacts are the bucket's. The folder
here, below `$GAUNTLET_CACHE`, is a copy that may be deleted whenever nothing runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from orchestrator.bucket import Bucket, bucket, each
from orchestrator.trouble import say
from trainables.leases import Folder, Place
from trainables.paths import below, unpack
from trainables.store import Store

T = TypeVar("T")
MARK = ".bucket"
"""The file of a folder that is a copy: the bucket's address."""
OTHERS = {
    "gs": ", the bucket's address for AWS_ENDPOINT_URL=https://storage.googleapis.com and HMAC keys"
    " (docs/cluster.md)",
    "az": ", in a store that speaks S3's protocol, as Azure's does not (docs/cluster.md)",
}
"""Schemes that name buckets which we do not read, and the way to them."""
SHAPES = {
    "records": re.compile(r"records/([\w-]{2})/\1[\w-]*(\.\d+)?\.json"),
    "sweeps": re.compile(r"sweeps/[\w+@.-]+/[0-9T]+\.json"),
}
"""Names of the objects of a storage, by folder; in other folders any name below them will do."""
SET_ASIDE = ".damaged"
"""Ending of a file that could not be read: see `damage`."""
CARRIED_EVERY_S = 30.0
"""Seconds between two looks for a checkpoint that is new."""


def opened(storage: str | Path) -> Path:
    """The folder of a storage: itself, or for a bucket the folder here that is its copy.

    Raises ValueError, in one sentence, for a bucket that cannot be read.
    """
    text = str(storage)
    if not re.match(r"\w+:/", text):
        return Path(storage)
    if not text.startswith("s3:/"):
        way = OTHERS.get(text.partition(":")[0], "")
        raise ValueError(f"{text} cannot be a storage; give a folder or s3://BUCKET/PREFIX{way}")
    return copied(f"s3://{text.removeprefix('s3:').strip('/')}")


@lru_cache(maxsize=8)
def copied(address: str) -> Path:
    """The copy of a bucket, looked at once a process."""
    kept = bucket(address)
    kept.check()
    home = copy_of(kept)
    if not (home / MARK).exists():
        home.mkdir(parents=True, exist_ok=True)
        draft = home / f"{MARK}-{uuid.uuid4().hex}"
        draft.write_text(address)
        draft.replace(home / MARK)
    return home


def copy_of(kept: Bucket) -> Path:
    """Where this machine keeps its copy of a bucket, told apart by the store that it is in."""
    where = hashlib.sha256(f"{kept.client.meta.endpoint_url} {kept}".encode()).hexdigest()
    return caches() / f"{kept.name}-{where[:12]}"


def caches() -> Path:
    """Where this machine keeps what it can make again."""
    return Path(os.environ.get("GAUNTLET_CACHE") or "~/.cache/gauntlet").expanduser()


@lru_cache(maxsize=64)
def bucket_of(storage: Path) -> Bucket | None:
    """The bucket that a folder is a copy of."""
    try:
        return bucket((storage / MARK).read_text())
    except FileNotFoundError:
        return None


def shown(storage: Path) -> str:
    """A storage by the name that `opened` takes."""
    return str(bucket_of(storage) or storage)


# ---- files that are shared ----------------------------------------------------------------------


def fresh(storage: Path, *prefixes: str) -> None:
    """Bring what a storage's folder has under some names up to what its bucket has."""
    if (kept := bucket_of(storage)) is None:
        return
    began = clock(storage)
    there = {}
    for found in each(kept.names, prefixes):
        there |= ours(kept, storage, found)
    here = {name: path for prefix in prefixes for name, path in lying(storage, prefix)}
    for name, path in here.items():
        if name not in there:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ctime < began:  # else it may have come after we asked
                    path.unlink()
    late = [name for name, seen in there.items() if state(here.get(name)) != seen]
    for _ in each(lambda name: bring(kept, storage, name, there[name][1]), late):
        pass


def clock(folder: Path) -> float:
    """Return the time of a folder's file system, in seconds: this machine's own may differ."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_ctime


def ours(kept: Bucket, storage: Path, there: dict[str, T]) -> dict[str, T]:
    """Objects whose names a storage may have; the others are left alone, and one is named.

    Whoever may write into the bucket chooses names: none may lead out of the copy of it.
    """
    strange = [name for name in there if not is_ours(storage, name)]
    # a folder made by a store's web page, and what we set aside ourselves
    telling = [name for name in strange if not name.endswith(("/", SET_ASIDE))]
    if telling:
        more = f" and {len(telling) - 1} more" if len(telling) > 1 else ""
        say(
            f"left alone in {kept}: {min(telling)!r}{more}, as no storage has objects of such"
            " names; find out who wrote them, and delete them"
        )
    return {name: seen for name, seen in there.items() if name not in set(strange)}


def is_ours(storage: Path, name: str) -> bool:
    """Whether an object's name is one that a storage gives, and stays below its folder."""
    try:
        below(storage, name)
    except ValueError:
        return False
    shape = SHAPES.get(name.partition("/")[0])
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and (shape is None or shape.fullmatch(name) is not None)


def lying(storage: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """The files of a folder whose names begin so, but for drafts."""
    folder, _, begins = prefix.rpartition("/")
    home = below(storage, folder) if folder else storage
    for path in home.rglob(f"{begins}*" if begins else "*"):
        if not path.name.startswith(".") and path.is_file() and not path.is_symlink():
            yield path.relative_to(storage).as_posix(), path


def state(path: Path | None) -> tuple[int, int] | None:
    """A copy's size, and when its original was written, in ms."""
    if path is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        seen = path.stat()
        return seen.st_size, seen.st_mtime_ns // 1_000_000
    return None


def bring(kept: Bucket, storage: Path, name: str, written: int) -> None:
    """Copy one object here, as old as it is there."""
    path, moment = below(storage, name), written * 1_000_000
    try:
        with contextlib.suppress(FileNotFoundError):  # it was deleted since
            kept.download(name, path)
            os.utime(path, ns=(moment, moment))
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        say(f"left alone in {kept}: {name!r}, as another object is named like its folder")


def create(storage: Path, name: str, text: str) -> bool:
    """Write a file whole if it is not there yet; True for the one writer who did."""
    if (kept := bucket_of(storage)) is not None:
        return kept.create(name, text.encode())
    path = below(storage, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # fails if it exists: a second result is refused, not merged
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def share(storage: Path, name: str) -> None:
    """Let all have a file, or a folder in place of what others had under its name."""
    if (kept := bucket_of(storage)) is None:
        return
    whole = below(storage, name)
    files = {name: whole} if whole.is_file() else dict(lying(storage, f"{name}/"))
    for _ in each(kept.upload, files.values(), files):
        pass
    kept.delete(set(kept.names(f"{name}/")) - set(files))


def remove(storage: Path, name: str) -> None:
    """Delete a file, everywhere."""
    (storage / name).unlink(missing_ok=True)
    if (kept := bucket_of(storage)) is not None:
        kept.delete([name])


def drop(storage: Path, name: str) -> None:
    """Delete a folder, everywhere."""
    shutil.rmtree(below(storage, name), ignore_errors=True)
    if (kept := bucket_of(storage)) is not None:
        kept.delete(kept.names(f"{name}/"))


@contextlib.contextmanager
def carried(storage: Path, name: str) -> Iterator[None]:
    """Bring a folder here, and while this lasts let all have its files as they change.

    So that a trial goes on elsewhere from what a lost machine had come to.
    """
    if (kept := bucket_of(storage)) is None:
        yield
        return
    for file, (_, written) in ours(kept, storage, kept.names(f"{name}/")).items():
        path = storage / file
        if not path.exists() or path.stat().st_mtime * 1000 < written:
            bring(kept, storage, file, written)
    seen = {file: state(path) for file, path in lying(storage, f"{name}/")}
    over = threading.Event()

    def carry() -> None:
        while not over.wait(CARRIED_EVERY_S):
            for file, path in lying(storage, f"{name}/"):
                with contextlib.suppress(OSError):  # gone, changed meanwhile, or out of reach
                    if (now := state(path)) != seen.get(file):
                        kept.upload(path, file)
                        seen[file] = now

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# ---- who does what, and what was made -----------------------------------------------------------


def leases(storage: Path) -> Place:
    """Where the leases of a storage are."""
    kept = bucket_of(storage)
    return Folder(storage / "leases") if kept is None else Objects(kept)


@dataclass(frozen=True)
class Objects:
    """Leases in a bucket: see `trainables.leases.Place`."""

    bucket: Bucket

    def names(self) -> list[str]:
        found = (name.removeprefix("leases/") for name in self.bucket.names("leases/"))
        return [name for name in found if "/" not in name]

    def create(self, names: list[str], text: str) -> list[bool]:
        make = [f"leases/{name}" for name in names]
        return list(each(self.bucket.create, make, [text.encode()] * len(make)))

    def write(self, name: str, text: str) -> None:
        self.bucket.write(f"leases/{name}", text.encode())

    def read(self, names: list[str]) -> list[str | None]:
        return list(each(self.read_one, names))

    def read_one(self, name: str) -> str | None:
        try:
            return self.bucket.read(f"leases/{name}").decode(errors="replace")
        except FileNotFoundError:
            return None

    def written(self, name: str) -> float:
        return self.bucket.written(f"leases/{name}")

    def delete(self, names: list[str]) -> None:
        self.bucket.delete(f"leases/{name}" for name in names)


def store(storage: Path) -> Store:
    """What trials make once for all: prepared cells, weights, embeddings."""
    kept = bucket_of(storage)
    return Store(storage / "store", None if kept is None else Tars(kept))


@dataclass(frozen=True)
class Tars:
    """Artifacts of a store in a bucket, each one object: see `trainables.store.Elsewhere`."""

    bucket: Bucket

    def fetch(self, key: str, draft: Path) -> bool:
        with tempfile.TemporaryDirectory(dir=draft.parent) as folder:
            packed = Path(folder) / "artifact.tar"
            try:
                self.bucket.download(name_of(key), packed)
            except FileNotFoundError:
                return False
            try:
                unpack(packed, draft)
            except ValueError as error:
                say(f"{self.bucket}/{name_of(key)} is made again: {error}")
                self.bucket.delete([name_of(key)])
                return False
        return True

    def keep(self, key: str, made: Path) -> bool:
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            packed = Path(folder) / "artifact.tar"
            # links as the files they lead to, as none are taken out again
            with tarfile.open(packed, "w", dereference=True) as tar:
                tar.add(made, arcname="")
            return self.bucket.upload(packed, name_of(key), once=True)

    def drop(self, key: str) -> None:
        self.bucket.delete([name_of(key)])


def name_of(key: str) -> str:
    """Where a bucket keeps an artifact."""
    return f"store/{key[:2]}/{key}.tar"
