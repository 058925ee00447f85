"""Large files on their way into a bucket, in parts; nobody sees of one what is not whole.

A process that is killed meanwhile leaves parts behind, which no listing shows and stores bill: let
the bucket's lifecycle delete unfinished uploads.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from orchestrator.bucket import AT_FIRST_S, Bucket, OutOfReach
from orchestrator.refusals import code_of

IN_PARTS, MOST_PARTS, PARTS_AT_ONCE = 16 << 20, 10_000, 4
"""Bytes of a file from which it travels in parts, and of each part, unless these would be more than
a store takes; and how many parts of a file are on their way, and in memory, at a time."""


@dataclass(frozen=True)
class InParts:
    """A file on its way into a bucket, in parts."""

    bucket: Bucket
    name: str
    file: int
    """The descriptor of an open file."""
    once: bool
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    """What the object says of who wrote it, for a writer whose last reply was lost."""

    @property
    def ask(self) -> dict[str, str]:
        return {"Bucket": self.bucket.name, "Key": self.bucket.prefix + self.name}

    def upload(self) -> bool:
        """Send it. Each part is repeated by itself on a bad line; False as in `Bucket.upload`."""
        client, patiently = self.bucket.client, self.bucket.patiently
        size = os.fstat(self.file).st_size
        step = max(IN_PARTS, -(-size // MOST_PARTS))
        whole = {**self.ask, "Metadata": {"upload": self.mark}}
        upload = patiently(lambda: client.create_multipart_upload(**whole))["UploadId"]
        mine = {**self.ask, "UploadId": upload}

        def send(number: int) -> dict[str, Any]:
            content = os.pread(self.file, step, (number - 1) * step)
            if len(content) != min(step, size - (number - 1) * step):
                raise OSError(f"{self.name} became shorter while it was sent")
            part = {**mine, "PartNumber": number, "Body": content}
            sent = patiently(lambda: client.upload_part(**part))
            return {"PartNumber": number, "ETag": sent["ETag"]}

        try:
            with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
                parts = list(pool.map(send, range(1, -(-size // step) + 1)))
            if self.complete({**mine, "MultipartUpload": {"Parts": parts}}):
                return True
        except BaseException:
            self.abort(mine)
            raise
        self.abort(mine)
        return False

    def complete(self, ask: dict[str, Any]) -> bool:
        """Have the parts made one object; False where `once` and there is one."""
        from botocore.exceptions import ClientError

        client = self.bucket.client
        if self.once and self.bucket.conditional:
            ask = {**ask, "IfNoneMatch": "*"}
        elif self.once and self.writer() is not None:
            return False
        try:
            self.bucket.patiently(lambda: client.complete_multipart_upload(**ask))
        except ClientError as error:
            # ours, where the reply to an earlier try was lost
            if self.writer() == self.mark:
                return True
            if code_of(error) in ("PreconditionFailed", "412"):
                return False
            raise
        return True

    def writer(self) -> str | None:
        """The mark of who wrote what is there; None where nothing is."""
        head = lambda: self.bucket.client.head_object(**self.ask)  # noqa: E731
        with contextlib.suppress(FileNotFoundError):
            return self.bucket.found(self.name, head)["Metadata"].get("upload", "")
        return None

    def abort(self, mine: dict[str, str]) -> None:
        """Have the parts thrown away, if the store can be reached and still has them."""
        from botocore.exceptions import ClientError

        client = self.bucket.client
        with contextlib.suppress(OutOfReach, ClientError):
            self.bucket.patiently(lambda: client.abort_multipart_upload(**mine), AT_FIRST_S)
