"""What a store that speaks S3's protocol means by an error: try again, or how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.bucket import Bucket

BUSY = {"SlowDown", "RequestTimeout", "ConditionalRequestConflict", "OperationAborted"}
CUT_SHORT = {"IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"}
"""What a store calls requests that may succeed a little later, none of which it kept."""

WRONG_CLOCK = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
"""What a store calls the requests of a machine whose clock differs from its own."""


def code_of(error: Exception) -> str:
    """What the store called its refusal; "" for what is none."""
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""


def passing(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from botocore import exceptions as known
    from botocore.parsers import ResponseParserError

    if isinstance(error, known.ClientError):
        if code_of(error) == "NotImplemented":
            return False
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in BUSY | CUT_SHORT or status == 429 or status in range(500, 600)
    cut_short = (
        known.HTTPClientError,
        known.ConnectionError,
        known.IncompleteReadError,
        known.ChecksumError,
        known.FlexibleChecksumError,
        ResponseParserError,
    )
    return isinstance(error, cut_short)


def trouble(bucket: Bucket, error: Exception) -> str:
    """What is wrong with a bucket, and how to mend it."""
    where = bucket.client.meta.endpoint_url
    if "Credentials" in type(error).__name__:
        return (
            f"there are no AWS credentials for {bucket}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID"
            " and AWS_SECRET_ACCESS_KEY"
        )
    if code_of(error) == "NoSuchBucket":
        return f"there is no bucket {bucket.name!r} at {where}; make it, or correct --storage"
    if code_of(error) in WRONG_CLOCK:
        return (
            f"{where} refuses {bucket}: the clock of this machine is off by more than it allows"
            f" ({code_of(error)}); set the clock, then run the same again"
        )
    if code_of(error) == "SignatureDoesNotMatch":
        return (
            f"{where} takes no signature of ours for {bucket}: check the secret key; where the"
            " store is not Amazon's, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required"
        )
    if code_of(error):
        return f"{where} refuses {bucket} ({code_of(error)}): ask for list, read, write, delete"
    return f"the storage {bucket} cannot be used: {error}"
