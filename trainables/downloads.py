"""Fetch a file: resumed where it broke off, verified, under its name only when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Progress = Callable[[int, int | None], None]
"""Told bytes so far and, where the server says it, how many there will be."""

CHUNK = 1 << 20


def silent(done: int, total: int | None) -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to ask it again.

    Tries are counted from the last byte of progress, so a long file over a poor line gets there.
    """

    tries: int = 5
    pause: float = 1.0
    """Seconds before the second try; doubled before each further one."""
    connect: float = 15.0
    stall: float = 60.0
    """Seconds without a byte after which a connection counts as dead."""


class Interrupted(Exception):
    """The connection broke, stalled or was refused for now; asking again may help."""


class Unreachable(Interrupted):
    """There is no way to the server at all."""


USUAL = Patience()


@dataclass(frozen=True)
class Resuming:
    """A pooch downloader that goes on where an earlier try, or an earlier process, stopped.

    Bytes gather in `part`; pooch's own temporary file gets them once they are all there. The
    server's name for its version (ETag, else Last-Modified) is kept beside, so that a file that
    changed meanwhile is begun anew; If-Range would do so too, but not with weak ETags.
    """

    part: Path
    patience: Patience = USUAL
    progress: Progress = silent

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Fill `output_file`, asking `url` as often as patience allows.

        Raises LookupError, in one sentence, when there is nothing at the address or no way to it.
        """
        with only_one(self.part):
            self.fill(url)
            self.part.replace(output_file)
            self.tag.unlink(missing_ok=True)

    @property
    def tag(self) -> Path:
        """Where the server's name for this version of the file is kept."""
        return self.part.with_name(self.part.name + ".version")

    def fill(self, url: str) -> None:
        """Ask until every byte is in `part`."""
        best, left, pause = self.size(), self.patience.tries, self.patience.pause
        while True:
            try:
                return self.ask(url)
            except Interrupted as problem:
                left -= 1
                if isinstance(problem, Unreachable) and not best:
                    left = 0  # nothing ever came, so this machine is offline: say so at once
                if self.size() > best:  # it moved: the line is poor, not dead
                    best, left, pause = self.size(), self.patience.tries - 1, self.patience.pause
                if left <= 0:
                    kept = f"; {best:,} bytes are kept, the same command goes on from there"
                    raise LookupError(
                        f"cannot get {url}: {problem}{kept if best else ''}"
                    ) from problem
                time.sleep(pause)
                pause *= 2

    def size(self) -> int:
        """Bytes so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    def ask(self, url: str) -> None:
        """One request, from the first missing byte on.

        Raises Interrupted when asking again may help and LookupError when it cannot.
        """
        import requests
        from urllib3.exceptions import HTTPError

        have = self.size()
        # compressed transfer would make byte positions mean something else
        headers = {"Accept-Encoding": "identity", "User-Agent": "sc-gauntlet"}
        if have:
            headers["Range"] = f"bytes={have}-"
        timeout = (self.patience.connect, self.patience.stall)
        try:
            with requests.get(url, headers=headers, stream=True, timeout=timeout) as reply:
                self.receive(reply, url, have)
        except (requests.RequestException, HTTPError, ConnectionError, TimeoutError) as error:
            raise interruption(error, self.patience) from error

    def receive(self, reply: Any, url: str, have: int) -> None:
        """Write what a reply brings to where it belongs."""
        if reply.status_code == 416:  # we hold as much as there is, or more
            if have and have == total_of(reply):
                return
            self.part.unlink()
            raise Interrupted("the file at the server is shorter than the part kept here")
        check_status(reply, url)
        resumed = reply.status_code == 206 and starts_at(reply) == have
        if reply.status_code == 206 and not resumed:
            self.part.unlink(missing_ok=True)
            raise Interrupted("the server sent another range than it was asked for")
        version = reply.headers.get("ETag") or reply.headers.get("Last-Modified", "")
        if resumed and self.tag.exists() and self.tag.read_text() != version:
            self.part.unlink()
            raise Interrupted("the file at the server has changed since the first bytes came")
        done = have if resumed else 0
        total = total_of(reply) if resumed else content_length(reply)
        self.tag.write_text(version)
        with self.part.open("ab" if resumed else "wb") as file:
            # read1 gives what has come, so that a stall loses nothing of it
            while block := reply.raw.read1(CHUNK, decode_content=False):
                file.write(block)
                file.flush()  # what came is kept even if this process is killed next
                done += len(block)
                self.progress(done, total)
        if total is not None and done < total:
            raise Interrupted(f"the connection ended after {done:,} of {total:,} bytes")


def check_status(reply: Any, url: str) -> None:
    """Refuse what is no file; say whether asking again may help."""
    code = reply.status_code
    if code in (200, 206):
        return
    if code == 429 or code >= 500:
        raise Interrupted(f"the server answers {code}")
    if code in (404, 410):
        raise LookupError(f"there is nothing at {url} ({code}): the source has moved or is gone")
    raise LookupError(f"{url} answers {code} {reply.reason}; perhaps a browser may have it")


def content_length(reply: Any) -> int | None:
    """How many bytes a whole reply announces."""
    length = reply.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def total_of(reply: Any) -> int | None:
    """The whole file's size in a Content-Range, as in "bytes 5-9/10" or "bytes */10"."""
    total = reply.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def starts_at(reply: Any) -> int | None:
    """The first position in a Content-Range."""
    first = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


def interruption(error: Exception, patience: Patience) -> Interrupted:
    """What went wrong on the line, without the library's chain of causes."""
    import requests
    from urllib3.exceptions import ReadTimeoutError

    causes = repr(error)
    if "NameResolution" in causes or "getaddrinfo" in causes:
        return Unreachable("this machine cannot find the server, so it is probably offline")
    if isinstance(error, requests.ConnectTimeout):
        return Unreachable(f"the server did not answer within {patience.connect:g} s")
    if isinstance(error, (requests.ReadTimeout, ReadTimeoutError)) or "timed out" in causes:
        return Interrupted(f"nothing came for {patience.stall:g} s")
    if any(sign in causes for sign in ("NewConnectionError", "refused", "ProxyError")):
        return Unreachable("the server cannot be reached from this machine")
    return Interrupted("the connection broke off")


@contextlib.contextmanager
def only_one(part: Path) -> Iterator[None]:
    """Keep a second process away from a part that this one is filling."""
    with part.with_name(part.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if Path(lock.name).stat().st_ino != os.fstat(lock.fileno()).st_ino:
                raise BlockingIOError  # its last holder has just put it away
        except (BlockingIOError, FileNotFoundError) as error:
            raise LookupError(f"another process is fetching {part.stem}; wait for it") from error
        try:
            yield
        finally:
            Path(lock.name).unlink(missing_ok=True)


def fetch(
    url: str,
    path: Path,
    sha256: str = "",
    git_blob: str = "",
    *,
    patience: Patience = USUAL,
    progress: Progress = silent,
) -> Path:
    """The file at `url` as `path`: whole and verified, or not there at all.

    `sha256` and `git_blob` (the SHA-1 by which git knows a file) are checked where given. A file
    that arrives whole but wrong is fetched once more from the start before that is believed.

    Raises LookupError when it cannot be had and ValueError when it is not what was promised.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it would advise to paste in whatever hash it got
    path.parent.mkdir(parents=True, exist_ok=True)
    resuming = Resuming(path.with_name(path.name + ".part"), patience, progress)
    waiting = path.with_name(path.name + ".unverified")
    for again in (True, False):
        pooch.retrieve(
            url,
            None,
            fname=waiting.name,
            path=waiting.parent,
            downloader=resuming,  # pyright: ignore[reportArgumentType]
        )
        try:
            verify(waiting, url, sha256, git_blob)
        except ValueError:
            waiting.unlink()
            if again:
                continue
            raise
        break
    waiting.replace(path)  # readers see a whole, verified file or none
    return path


def verify(path: Path, source: str, sha256: str = "", git_blob: str = "") -> None:
    """Refuse a file whose hash is not the expected one."""
    from trainables.store import file_sha256

    if sha256 and (found := file_sha256(path)) != sha256:
        raise ValueError(
            f"{source} has sha256 {found[:12]}, expected {sha256[:12]}: the source changed, or the"
            " file was damaged on its way"
        )
    if git_blob and (found := git_blob_sha1(path)) != git_blob:
        raise ValueError(
            f"{source} has git hash {found[:12]}, expected {git_blob[:12]}: the source changed, or"
            " the file was damaged on its way"
        )


def git_blob_sha1(path: Path) -> str:
    """The SHA-1 by which git knows a file's content.

    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     git_blob_sha1(Path(file.name))  # the well-known hash of the empty file
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()
