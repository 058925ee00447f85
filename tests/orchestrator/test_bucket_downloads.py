"""Downloads from a bucket: cut short, they go on, and bring what is there now or nothing."""

import os
from types import SimpleNamespace

import pytest

from orchestrator import bucket as buckets
from orchestrator import downloads
from orchestrator.storage import bucket_of, opened
from tests.orchestrator.s3 import Faults

BODY = os.urandom(100_000)


@pytest.fixture
def line(machine, address, s3, monkeypatch):
    """A line to a bucket with the object "big" that cuts each reply in half: what was asked of it,
    by the first byte, and what is to happen (`at`) when it is asked so many times."""
    monkeypatch.setattr(downloads, "PIECE", 100)
    direct = bucket_of(opened(address))
    direct.write("big", BODY)
    with Faults(s3, share=0.0, kinds=["cut get"]) as cuts:
        machine(cuts.port)
        kept = bucket_of(opened(address))
        cuts.share = 1.0
        get, told = kept.client.get_object, SimpleNamespace(asked=[], at={}, kept=kept)

        def listening(**ask):
            told.asked.append(int(ask.get("Range", "bytes=0-")[6:-1]))
            told.at.get(len(told.asked), lambda: None)()
            return get(**ask)

        monkeypatch.setattr(kept.client, "get_object", listening)
        told.heal, told.direct = lambda: setattr(cuts, "share", 0.0), direct
        yield told


def test_a_download_goes_on_where_it_was_cut_for_as_long_as_something_comes(
    line, tmp_path, monkeypatch
):
    monkeypatch.setattr(buckets, "PATIENCE_S", 0.05)  # less than the first pause
    line.at[5] = line.heal
    line.kept.download("big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == BODY
    assert line.asked == [0, 50_000, 75_000, 87_500, 93_750]


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_object_that_is_written_anew_meanwhile_comes_from_its_beginning(line, tmp_path, size):
    other = os.urandom(size)
    line.at = {2: lambda: line.direct.write("big", other), 3: line.heal}
    line.kept.download("big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == other
    assert line.asked == [0, 50_000, 0]


def test_a_line_that_brings_nothing_more_is_given_up_and_leaves_nothing(
    line, tmp_path, monkeypatch
):
    monkeypatch.setattr(buckets, "PATIENCE_S", 0.3)
    with pytest.raises(buckets.OutOfReach):
        line.kept.download("big", tmp_path / "here" / "big")
    assert line.asked[:3] == [0, 50_000, 75_000]
    assert not list((tmp_path / "here").iterdir())
