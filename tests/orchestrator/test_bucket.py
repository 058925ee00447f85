"""Names in a bucket: each has one winner, and on a bad line nothing is lost or twice."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from orchestrator import bucket as buckets
from orchestrator.bucket import Bucket
from orchestrator.execute import execute
from orchestrator.records import Ledger
from orchestrator.storage import bucket_of, fresh, opened
from tests.orchestrator.s3 import Faults
from trainables.trial import Trial

# ---- one winner ------------------------------------------------------------------------------


RACER = """
import random, sys
from orchestrator.records import Ledger
from orchestrator.storage import opened
address, writer = sys.argv[1:]
ledger = Ledger(opened(address))
print("ready", flush=True)
sys.stdin.readline()
order = random.Random(writer).sample(range(25), 25)
records = ({"trial_id": f"{i:04x}", "status": "ok", "writer": writer} for i in order)
print(sum(map(ledger.commit, records)))
"""


def test_racing_drivers_have_one_winner_each(machine, address, tmp_path):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, address, str(i)],
            env={**os.environ, "GAUNTLET_CACHE": str(tmp_path / str(i))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(3)
    ]
    assert [process.stdout.readline() for process in racers] == ["ready\n"] * 3
    for process in racers:
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [int(process.communicate()[0]) for process in racers]
    assert sum(won) == 25
    assert sum(n > 0 for n in won) > 1, "they did race"
    assert len(Ledger(opened(address)).settled_ids()) == 25


def test_threads_that_race_for_one_name_have_one_winner(machine, address):
    kept = bucket_of(opened(address))
    assert kept.conditional
    with ThreadPoolExecutor(16) as pool:
        for n in range(5):
            contents = [f"writer {i}".encode() for i in range(16)]
            won = list(pool.map(lambda c, n=n: kept.create(f"{n}.json", c), contents))
            assert sum(won) == 1
            assert kept.read(f"{n}.json") == contents[won.index(True)]


def test_a_store_that_ignores_conditions_is_found_out(machine, address, monkeypatch):
    kept = bucket_of(opened(address))
    monkeypatch.setattr(
        Bucket, "put_new", lambda self, name, content: self.write(name, content) or True
    )
    assert not kept.conditional
    assert kept.create("a", b"first")
    assert not kept.create("a", b"second")
    assert kept.read("a") == b"first"
    monkeypatch.undo()
    machine()
    assert not bucket_of(opened(address)).conditional, "it is tried out once for all machines"


# ---- a bad line ------------------------------------------------------------------------------


def test_nothing_is_lost_or_twice_on_a_bad_line(machine, address, s3):
    trials = [Trial("mean", "annotation", "toy", seed) for seed in range(3)]
    trials += [Trial("logreg", "annotation", "toy", 0, 1.0, {"folds": 1})]  # which fails
    with Faults(s3, share=0.4, seed=1) as bad:
        machine(bad.port)
        for trial in trials:
            execute(trial, opened(address), code_version="test")
        ledger = Ledger(opened(address))
        assert len(ledger.current([trial.id for trial in trials])) == 4
    assert {kind for kind, n in bad.done.items() if n} >= {"busy", "reset", "cut put", "lost reply"}
    machine()
    kept = bucket_of(opened(address))
    names = kept.names("records/")
    assert len(names) == 4, "a lost reply is no second attempt"
    for name in names:
        assert json.loads(kept.read(name))["trial_id"] in name
    assert {trial.id for trial in trials[:3]} == Ledger(opened(address)).settled_ids()
    for trial in trials[:3]:
        place = opened(address)
        fresh(place, f"artifacts/{trial.id}/")
        assert len(pd.read_parquet(place / "artifacts" / trial.id / "predictions.parquet")) == 48


@pytest.mark.parametrize("kind", ["lost reply", "cut put", "busy", "reset"])
def test_the_writer_whose_request_failed_is_told_the_truth(machine, address, s3, kind):
    assert bucket_of(opened(address)).conditional
    with Faults(s3, share=0.5, seed=3, kinds=[kind]) as bad:
        machine(bad.port)
        kept = bucket_of(opened(address))
        for n in range(4):
            assert kept.create(f"{n}", f"{n}".encode() * 100), kind
            assert not kept.create(f"{n}", b"another's")
    assert bad.done[kind] > 2
    machine()
    kept = bucket_of(opened(address))
    assert [kept.read(f"{n}") for n in range(4)] == [f"{n}".encode() * 100 for n in range(4)]


def test_a_reply_cut_short_is_asked_for_again(machine, address, s3):
    content = os.urandom(100_000)
    bucket_of(opened(address)).write("big", content)
    with Faults(s3, share=0.5, seed=5, kinds=["cut get"]) as bad:
        machine(bad.port)
        kept = bucket_of(opened(address))
        assert all(kept.read("big") == content for _ in range(6))
        fresh(opened(address), "big")
        assert (opened(address) / "big").read_bytes() == content
    assert bad.done["cut get"] > 2


def test_a_store_that_stays_away_ends_in_words(machine, address, monkeypatch):
    kept = bucket_of(opened(address))
    monkeypatch.setattr(buckets, "PATIENCE_S", 0.3)
    with Faults(0, share=1.0, kinds=["busy"]) as bad:
        machine(bad.port)
        away = Bucket(kept.name, kept.prefix)
        with pytest.raises(buckets.OutOfReach, match="does not answer at http://127"):
            away.read("anything")
