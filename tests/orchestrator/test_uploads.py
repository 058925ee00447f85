"""Large files: they arrive part by part, whole or not at all, and once."""

import json
import os

import pytest

from orchestrator import bucket as buckets
from orchestrator import uploads
from orchestrator.storage import bucket_of, opened, store
from tests.orchestrator.s3 import Faults, LikeGoogles


@pytest.fixture
def in_parts(monkeypatch):
    """Files of a thousand bytes are large; one of them."""
    monkeypatch.setattr(uploads, "IN_PARTS", 1000)
    return os.urandom(10_500)


def unfinished(kept):
    ask = {"Bucket": kept.name, "Prefix": kept.prefix}
    return kept.client.list_multipart_uploads(**ask).get("Uploads", [])


def test_a_large_file_arrives_whole_part_by_part_on_a_bad_line(
    machine, address, s3, tmp_path, in_parts
):
    (tmp_path / "big").write_bytes(in_parts)
    with Faults(s3, share=0.4, seed=7) as bad:
        machine(bad.port)
        kept = bucket_of(opened(address))
        assert kept.upload(tmp_path / "big", "big")
    assert sum(bad.done.values()) - bad.done[""] > 3, bad.done
    machine()
    kept = bucket_of(opened(address))
    assert kept.read("big") == in_parts
    assert kept.client.head_object(Bucket="lab", Key=f"{kept.prefix}big")["ETag"].endswith('-11"')


@pytest.mark.parametrize("why", ["a part never arrives", "the file shrinks", "the end is refused"])
def test_of_a_large_file_that_does_not_arrive_there_is_nothing(
    machine, address, tmp_path, in_parts, monkeypatch, why
):
    kept, path = bucket_of(opened(address)), tmp_path / "big"
    path.write_bytes(in_parts)
    seen, sent = [], kept.client.upload_part

    def upload_part(**part):
        seen.append(set(kept.names()))
        if part["PartNumber"] == 7:
            if why == "a part never arrives":
                raise ConnectionResetError("cut")
            if why == "the file shrinks":
                path.write_bytes(in_parts[:3000])
        return sent(**part)

    def refuse(**ask):
        raise ConnectionResetError("cut")

    monkeypatch.setattr(kept.client, "upload_part", upload_part)
    if why == "the end is refused":
        monkeypatch.setattr(kept.client, "complete_multipart_upload", refuse)
    with pytest.raises(OSError, match="shorter" if "shrinks" in why else "cut"):
        kept.upload(path, "big")
    assert len(seen) >= 7
    assert not set.union(*seen, kept.names()) & {"big"}
    assert not unfinished(kept), "its parts are thrown away"


@pytest.mark.parametrize("once", [True, False])
def test_the_writer_of_a_large_file_whose_last_reply_was_lost_knows_that_it_is_there(
    machine, address, tmp_path, in_parts, monkeypatch, once
):
    from botocore.exceptions import ConnectionClosedError

    kept, lost = bucket_of(opened(address)), []
    (tmp_path / "big").write_bytes(in_parts)
    really = kept.client.complete_multipart_upload

    def complete(**ask):
        answer = really(**ask)
        if not lost:
            lost.append(answer)
            raise ConnectionClosedError(endpoint_url="lost")
        return answer

    monkeypatch.setattr(kept.client, "complete_multipart_upload", complete)
    assert kept.upload(tmp_path / "big", "big", once=once)
    assert len(lost) == 1
    assert kept.upload(tmp_path / "big", "big", once=once) is not once
    assert kept.read("big") == in_parts


@pytest.mark.parametrize("conditional", [True, False])
def test_of_two_who_make_a_large_artifact_the_first_stands(
    machine, address, in_parts, monkeypatch, conditional
):
    kept = bucket_of(opened(address))
    kept.write(buckets.ABOUT, json.dumps({"conditional": conditional}).encode())
    machine()
    here, late = opened(address), {}

    def first(draft):
        (draft / "weights.bin").write_bytes(in_parts)

    def second(draft):
        (draft / "weights.bin").write_bytes(in_parts[::-1])
        machine()  # another machine makes it, too: it took our lease for that of the dead
        there = store(opened(address))
        late["first"] = there.home({"artifact": "a"})
        late["first"].mkdir(parents=True)
        there.fill(late["first"], {"artifact": "a"}, first)

    found = store(here).get({"artifact": "a"}, second)
    assert (late["first"] / "weights.bin").read_bytes() == in_parts
    assert (found / "weights.bin").read_bytes() == in_parts
    assert not unfinished(bucket_of(opened(address)))


def test_a_store_like_googles_is_used_as_it_wants_to_be(
    machine, address, s3, in_parts, tmp_path, monkeypatch
):
    (tmp_path / "big").write_bytes(in_parts)
    with LikeGoogles(s3, share=0.0) as google:
        machine(google.port)
        with pytest.raises(ValueError, match="AWS_REQUEST_CHECKSUM_CALCULATION=when_required"):
            opened(address) and bucket_of(opened(address)).conditional
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        machine(google.port)
        kept = bucket_of(opened(address))
        assert not kept.conditional
        assert kept.create("a", b"first")
        assert not kept.create("a", b"second")
        assert kept.upload(tmp_path / "big", "big", once=True)
        assert not kept.upload(tmp_path / "big", "big", once=True)
        assert (kept.read("a"), kept.read("big")) == (b"first", in_parts)
        kept.delete(["a", "big"])
        assert set(kept.names()) == {buckets.ABOUT}
