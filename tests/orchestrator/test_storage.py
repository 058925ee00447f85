"""A storage in a bucket: the same table as in a folder, whichever machine asks for it."""

import json
import sys
import time

import pandas as pd
import pytest

from analysis import results
from analysis.conclusion import preregistered, write_report
from analysis.results import find_storage
from orchestrator import bucket as buckets
from orchestrator import known, run
from orchestrator import storage as storages
from orchestrator.execute import Done, execute, record_of
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.storage import bucket_of, carried, leases, opened, store
from tests.orchestrator.s3 import Faults, environment
from trainables.leases import Leases
from trainables.trial import Trial

SWEEP = """
from orchestrator import Comparison, Sweep
SWEEP = Sweep(
    title="in a bucket", task="annotation", datasets=["toy"], seeds=[0, 1],
    models={"mean": {}, "pca+probe": {}},
    analysis=[Comparison("pca+probe", "mean", metric="test/accuracy")],
)
"""
TRIALS = 4


TRIAL = Trial("mean", "annotation", "toy", 0)


def record(trial_id="ab12", status="ok", **more):
    """A whole record, of the kind that workers write."""
    whole = record_of(TRIAL, Done(started_at="2026-01-01T00:00:00.000+00:00"), "test")
    whole |= {"ended_at": "2026-01-01T00:00:01.000+00:00"}
    return whole | {"trial_id": trial_id, "status": status, **more}


# ---- a sweep ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(s3, gauntlet, tmp_path_factory):
    """A sweep, run by the command in a bucket: its file, its storage, its machine, what it said."""
    place = tmp_path_factory.mktemp("bucket")
    path = place / "bucketed.py"
    path.write_text(SWEEP)
    told = environment(s3, place / "cache")
    said = gauntlet("run", path, "--storage", "s3://lab/team", **told).stdout
    return path, "s3://lab/team", told, said


def without_time(table):
    """What was measured, without what differs from run to run."""
    costs = ["wall_s", "cpu_s", "peak_rss_mb", "peak_gpu_mb", "gpu_s", "started_at"]
    table = table.drop(columns=[*costs, "code_version", "hostname"])
    return table.sort_values(["trial_id", "metric"], ignore_index=True)


def test_a_sweep_in_a_bucket_ends_as_in_a_folder(ran, machine, tmp_path):
    path, storage, _, said = ran
    assert "pca+probe minus mean, toy" in said
    assert f"of {TRIALS} planned {TRIALS} ok" in said
    machine(cache=tmp_path / "laptop")  # another machine, which has seen nothing of it
    table = results("bucketed", storage)
    here = plan(str(path), tmp_path / "folder")
    for trial in here.trials:
        execute(trial, tmp_path / "folder", code_version="test")
    write_manifest(tmp_path / "folder", here.manifest())
    alone = results("bucketed", tmp_path / "folder")
    pd.testing.assert_frame_equal(without_time(table), without_time(alone))


def test_everything_that_reads_a_storage_reads_a_bucket(ran, machine):
    path, storage, _, _ = ran
    machine()
    again = run(str(path), storage)
    assert (again.ran, again.statuses, again.untracked) == (0, {"ok": TRIALS}, "")
    stands = {"sweep": "bucketed", "planned": TRIALS, "ok": TRIALS, "missing": 0}
    assert known.statuses(find_storage(storage), None) == [stands]
    (row,) = preregistered(storage, "bucketed").to_dict("records")
    assert row["test"] == "seeds-and-cells", "predictions came along"
    page = write_report(storage, "bucketed", None)
    assert "in a bucket" in page.read_text()
    assert bucket_of(opened(storage)).read("reports/bucketed.html") == page.read_bytes()


def test_a_lost_record_is_one_trial_to_run_also_on_a_bad_line(ran, gauntlet, machine, tmp_path):
    path, storage, told, _ = ran
    kept = bucket_of(opened(storage))
    before = kept.names("records/")
    lost = sorted(before)[1]
    kept.delete([lost])
    with Faults(int(told["AWS_ENDPOINT_URL"].rpartition(":")[2]), share=0.2) as bad:
        worse = environment(bad.port, tmp_path / "cache")
        again = json.loads(gauntlet("run", path, "--json", "--storage", storage, **worse).stdout)
    assert again["ran"] == 1
    assert again["statuses"] == {"ok": TRIALS}
    assert set(kept.names("records/")) == set(before)
    assert sum(bad.done.values()) - bad.done[""] > 5, bad.done
    assert not kept.names("leases/"), "whoever ended left nothing behind"


# ---- between machines ------------------------------------------------------------------------


def test_leases_are_held_across_machines(machine, address):
    with Leases(leases(opened(address))) as one:
        assert one.take(["a", "b"]) == {"a", "b"}
        machine()
        with Leases(leases(opened(address))) as two:
            assert two.take(["a", "b", "c"]) == {"c"}
            one.drop(["a"])
            assert two.take(["a"]) == {"a"}
            one.held.clear()  # b: left behind, as by a killed driver
            one.place.delete([f"holders/{one.me}"])
            assert two.take(["b"]) == {"b"}
    left = bucket_of(opened(address)).names("leases/")
    assert set(left) == {"leases/b.1"}, "the dead's own, so that no two inherit it"


def test_what_one_machine_made_another_finds(machine, address):
    def make(draft):
        (draft / "weights.bin").write_bytes(b"made here")

    def cannot(draft):
        raise AssertionError("made twice")

    here = store(opened(address)).get({"artifact": "a"}, make)
    machine()
    there = store(opened(address))
    assert there.find({"artifact": "b"}) is None
    found = there.find({"artifact": "a"})
    assert found is not None
    assert found != here
    assert (found / "weights.bin").read_bytes() == b"made here"
    assert there.get({"artifact": "a"}, cannot) == found


def test_a_trial_starts_from_weights_that_another_machine_made(machine, address):
    tiny = {"dim": 8, "depth": 1, "heads": 2, "dim_head": 4, "ff_mult": 1, "batch": 32}
    tiny |= {"epochs": 1, "gene2vec": False}
    before = {"weights": "none", "n_genes": 10, **tiny}
    making = Trial("scbert", "pretraining", "toy", 0, 1.0, before)
    assert execute(making, opened(address), code_version="test")["status"] == "ok"
    using = Trial("scbert", "annotation", "toy", 0, 1.0, {"weights": f"trial:{making.id}", **tiny})
    machine()
    record = execute(using, opened(address), code_version="test")
    assert record["status"] == "ok", record["trace"]


def test_a_checkpoint_is_carried_to_the_next_machine(machine, address, monkeypatch):
    monkeypatch.setattr(storages, "CARRIED_EVERY_S", 0.05)
    place = opened(address)
    with carried(place, "checkpoints/t"):
        (place / "checkpoints/t").mkdir(parents=True)
        (place / "checkpoints/t/model.pt").write_bytes(b"epoch 3")
        kept, deadline = bucket_of(place), 200
        while not kept.names("checkpoints/t/") and deadline:
            deadline -= 1
            time.sleep(0.05)
    machine()
    place = opened(address)
    with carried(place, "checkpoints/t"):
        assert (place / "checkpoints/t/model.pt").read_bytes() == b"epoch 3"
    storages.drop(place, "checkpoints/t")
    assert not bucket_of(place).names("checkpoints/")
    assert not (place / "checkpoints/t").exists()


def test_a_copy_follows_what_is_deleted_and_written_again(machine, address):
    ledger = Ledger(opened(address))
    ledger.commit(record(value=1))
    ledger.commit(record("cd34", status="failed"))
    assert ledger.settled("ab12") == record(value=1)
    kept = bucket_of(ledger.storage)
    time.sleep(0.15)  # what came while we asked is not taken for deleted
    kept.delete(["records/ab/ab12.json"])
    assert ledger.settled_ids() == set()
    assert ledger.settled("ab12") is None
    assert ledger.last("cd34")["status"] == "failed"
    ledger.commit(record(value=22))
    assert ledger.last("ab12") == record(value=22)
    assert ledger.tries() == {"ab12": 1, "cd34": 1}


# ---- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "changes", "said"),
    [
        ("s3://nowhere/x", {}, "no bucket 'nowhere' at http://127"),
        ("s3://", {}, "names no bucket"),
        ("s3://Not_A_Bucket/x", {}, "Not_A_Bucket"),
        ("gs://lab/x", {}, "AWS_ENDPOINT_URL=https://storage.googleapis.com and HMAC keys"),
        ("az://lab/x", {}, "s3://BUCKET/PREFIX, in a store that speaks S3's protocol"),
        ("ftp://lab/x", {}, "a folder or s3://BUCKET/PREFIX$"),
        ("s3://lab/x", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "set AWS_PROFILE"),
        ("s3://lab/x", {"AWS_PROFILE": "absent"}, "absent"),
        ("s3://lab/x", {"AWS_ENDPOINT_URL": "not a url"}, "not a url"),
        ("s3://lab/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "does not answer at http://127"),
    ],
)
def test_bad_input_is_one_sentence(machine, monkeypatch, tmp_path, address, changes, said):
    nobody = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    for key, value in {**nobody, **changes}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(buckets, "AT_FIRST_S", 0.5)
    with pytest.raises(ValueError, match=said) as told:
        opened(address)
    assert len(str(told.value).splitlines()) == 1


def test_without_the_extra_it_says_which(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ValueError, match=r"pip install 'sc-gauntlet\[s3\]'"):
        opened("s3://lab/x")


def test_the_command_ends_with_2(s3, gauntlet, tmp_path):
    told = environment(s3, tmp_path)
    done = gauntlet("results", "--storage", "s3://lab/empty", expect=2, **told)
    assert done.stderr.startswith("gauntlet: nothing is recorded in s3://lab/empty;")
    assert len(done.stderr.splitlines()) == 1
