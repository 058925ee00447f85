"""Objects as files: a transfer that is cut goes on where it broke off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestrator.refusals import code_of, passing

if TYPE_CHECKING:
    from orchestrator.bucket import Bucket

PIECE = 1 << 20
"""Bytes that are read at a time."""


@dataclass
class Download:
    """An object on its way into a file that is empty at first."""

    bucket: Bucket
    name: str
    file: BinaryIO
    version: str = ""
    """The store's name for what the file begins with (ETag)."""
    furthest: int = 0

    def more(self) -> bool:
        """Ask for what is still missing; False where that was cut short, but brought something.

        Raises what the store or the line says where nothing came: who counts how long a store does
        not answer may begin anew with every byte.
        """
        reply = self.rest()
        try:
            for piece in reply["Body"].iter_chunks(PIECE):
                self.file.write(piece)
        except Exception as error:
            if not passing(error) or self.file.tell() <= self.furthest:
                raise
            self.furthest = self.file.tell()
            return False
        return True

    def rest(self) -> Any:
        """A reply that begins where the file ends, else where both begin: of a store that knows no
        ranges, and of an object that has been written anew."""
        from botocore.exceptions import ClientError

        if have := self.file.tell():
            try:
                reply = self.bucket.get(self.name, Range=f"bytes={have}-")
                if "ContentRange" in reply and reply["ETag"] == self.version:
                    return reply
                reply["Body"].close()
            except ClientError as error:
                if code_of(error) not in ("InvalidRange", "416"):  # it is no longer than that
                    raise
            self.file.seek(0)
            self.file.truncate()
        reply = self.bucket.get(self.name)
        self.version = reply["ETag"]
        return reply
