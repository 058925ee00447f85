"""A bucket of S3, or of any store that speaks its protocol, as a few verbs.

Every request is asked again while the store is out of reach, busy, or cut a transfer short, for
`PATIENCE_S`. Credentials, region and endpoint are those that every AWS tool takes: AWS_PROFILE,
AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the like.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.refusals import code_of, passing, trouble

PATIENCE_S, AT_FIRST_S = 300.0, 5.0
"""How long a request is repeated: of a storage in use, and of one that was just named."""
AT_ONCE = 16
"""Requests at a time."""
ABOUT = "storage.json"
"""The object that says what this store can do, so that it is tried out once."""

TRYING = threading.Lock()
"""One thread tries, the others wait for what it finds."""

T = TypeVar("T")


class OutOfReach(ConnectionError):
    """The store did not answer for as long as we are patient."""


@dataclass(frozen=True)
class Bucket:
    """The objects under `s3://name/prefix`, by their names below that."""

    name: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    @cached_property
    def client(self) -> Any:
        """One client for all threads; it tries once, since `patiently` is what tries again."""
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise ValueError(
                f"the storage {self} wants boto3: pip install 'sc-gauntlet[s3]'"
            ) from None
        once: Any = {"retries": {"total_max_attempts": 1}, "max_pool_connections": AT_ONCE}
        once |= {"connect_timeout": 10, "read_timeout": 60}
        try:
            return boto3.Session().client("s3", config=Config(**once))
        except (BotoCoreError, ValueError) as error:  # a profile, or an endpoint that is no URL
            raise ValueError(f"the storage {self} cannot be used: {error}") from None

    # ---- reading --------------------------------------------------------------------------------

    def names(self, prefix: str = "") -> dict[str, tuple[int, int]]:
        """Every object whose name begins so: its size, and when it was written, in ms."""
        found, more = {}, {}
        while True:
            ask = {"Bucket": self.name, "Prefix": self.prefix + prefix, **more}
            page = self.patiently(lambda ask=ask: self.client.list_objects_v2(**ask))
            for entry in page.get("Contents", ()):
                written = round(entry["LastModified"].timestamp() * 1000)
                found[entry["Key"].removeprefix(self.prefix)] = entry["Size"], written
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def read(self, name: str) -> bytes:
        """An object's content. Raises FileNotFoundError where there is none."""
        return self.found(name, lambda: self.get(name)["Body"].read())

    def written(self, name: str) -> float:
        """When an object was last written, in seconds, by the store's clock."""
        ask = {"Bucket": self.name, "Key": self.prefix + name}
        return self.found(name, lambda: self.client.head_object(**ask))["LastModified"].timestamp()

    def download(self, name: str, path: Path) -> None:
        """An object as a file, which is there whole or not at all."""
        from orchestrator.downloads import Download

        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{uuid.uuid4().hex}")
        try:
            with draft.open("wb") as file:
                download = Download(self, name, file)
                while not self.found(name, download.more):
                    pass
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def get(self, name: str, **which: str) -> dict[str, Any]:
        return self.client.get_object(Bucket=self.name, Key=self.prefix + name, **which)

    def found(self, name: str, ask: Callable[[], T]) -> T:
        """An answer about an object. Raises FileNotFoundError where there is none."""
        from botocore.exceptions import ClientError

        try:
            return self.patiently(ask)
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(f"{self}/{name} is not there") from None
            raise

    # ---- writing --------------------------------------------------------------------------------

    def create(self, name: str, content: bytes) -> bool:
        """Write an object whole if it is not there yet; True for the one writer who did.

        Who finds just what it wanted to write is that writer: its first reply was lost. See
        `conditional` for stores that cannot promise this.
        """
        if not self.conditional:
            return self.create_by_looking(name, content)
        if self.put_new(name, content):
            return True
        with contextlib.suppress(FileNotFoundError):  # it was deleted since
            return self.read(name) == content
        return False

    def create_by_looking(self, name: str, content: bytes) -> bool:
        """The same where the store takes no condition: look, write, and look who was last."""
        try:
            return self.read(name) == content
        except FileNotFoundError:
            self.write(name, content)
        return self.read(name) == content

    def put_new(self, name: str, content: bytes) -> bool:
        """Ask the store to write an object if it is not there; False where it says that it is."""
        from botocore.exceptions import ClientError

        ask = {"Bucket": self.name, "Key": self.prefix + name, "Body": content}
        try:
            self.patiently(lambda: self.client.put_object(**ask, IfNoneMatch="*"))
        except ClientError as error:
            if code_of(error) not in ("PreconditionFailed", "412"):
                raise
            return False
        return True

    @property
    def conditional(self) -> bool:
        """Whether the store refuses to write over what is there, tried out once for all.

        Amazon S3 does, and so do most; of others, two who write the same name within milliseconds
        may both believe that they were first. The later then stands.
        """
        with TRYING:
            return self.tried

    @cached_property
    def tried(self) -> bool:
        """The same, as the bucket says it, else as a first object shows."""
        from botocore.exceptions import ClientError

        # a damaged one is written anew
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            return bool(json.loads(self.read(ABOUT))["conditional"])
        probe = f"probe-{uuid.uuid4().hex}"
        try:
            self.put_new(probe, b"")
            refuses = not self.put_new(probe, b"")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (400, 501):
                raise ValueError(trouble(self, error)) from None
            refuses = False
        self.delete([probe])
        self.write(ABOUT, json.dumps({"conditional": refuses}).encode())
        return refuses

    def write(self, name: str, content: bytes) -> None:
        """Write an object, whatever was there."""
        ask = {"Bucket": self.name, "Key": self.prefix + name, "Body": content}
        self.patiently(lambda: self.client.put_object(**ask))

    def upload(self, path: Path, name: str, once: bool = False) -> bool:
        """A file as an object, in parts where it is large; it is there whole or not at all.

        With `once` only if there is none of that name yet: False where there is.
        """
        from orchestrator import uploads

        with path.open("rb") as file:  # opened once: another may be put into its place
            if os.fstat(file.fileno()).st_size >= uploads.IN_PARTS:
                return uploads.InParts(self, name, file.fileno(), once).upload()
            content = file.read()
        if once:
            return self.create(name, content)
        self.write(name, content)
        return True

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, as many as there are."""
        keys = [{"Key": self.prefix + name} for name in names]
        for i in range(0, len(keys), 1000):
            ask = {"Bucket": self.name, "Delete": {"Objects": keys[i : i + 1000], "Quiet": True}}
            self.patiently(lambda ask=ask: self.client.delete_objects(**ask))

    # ---- asking ---------------------------------------------------------------------------------

    def patiently(self, ask: Callable[[], T], patience: float | None = None) -> T:
        """The answer, asked for again while that may help. Raises OutOfReach when it did not."""
        client = self.client  # says so where boto3 is not there
        pause, until = 0.1, time.monotonic() + (PATIENCE_S if patience is None else patience)
        while True:
            try:
                return ask()
            except Exception as error:
                if not passing(error):
                    raise
                if time.monotonic() + pause > until:
                    raise OutOfReach(
                        f"{self} does not answer at {client.meta.endpoint_url}: {error}"
                    ) from error
            time.sleep(pause * random.uniform(0.5, 1))  # those who wait shall not wake together
            pause = min(2 * pause, 10.0)

    def check(self) -> None:
        """Raise ValueError, in one sentence, where the bucket cannot be read."""
        client = self.client  # says so where boto3 is not there
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            ask = {"Bucket": self.name, "Prefix": self.prefix, "MaxKeys": 1}
            self.patiently(lambda: client.list_objects_v2(**ask), AT_FIRST_S)
        except OutOfReach as error:
            raise ValueError(f"{error}; check AWS_ENDPOINT_URL and the network") from None
        except (BotoCoreError, ClientError) as error:
            raise ValueError(trouble(self, error)) from None


@lru_cache(maxsize=8)
def bucket(address: str) -> Bucket:
    """The bucket at `s3://NAME/PREFIX`, one a process."""
    name, _, prefix = address.removeprefix("s3://").strip("/").partition("/")
    if not name:
        raise ValueError(f"{address} names no bucket; write s3://BUCKET/PREFIX")
    return Bucket(name, prefix and f"{prefix}/")


def each(do: Callable[..., T], *arguments: Iterable[Any]) -> Iterator[T]:
    """What is done for each, several at a time, in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(do, *arguments)
