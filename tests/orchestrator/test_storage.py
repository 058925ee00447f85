"""A storage in a bucket: the same table as in a folder, and nothing lost or twice on a bad line."""

import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from analysis import results
from analysis.conclusion import preregistered, write_report
from analysis.results import find_storage
from orchestrator import bucket as buckets
from orchestrator import known, run, uploads
from orchestrator import storage as storages
from orchestrator.bucket import Bucket
from orchestrator.execute import execute
from orchestrator.planning import plan
from orchestrator.records import Ledger, write_manifest
from orchestrator.storage import bucket_of, carried, fresh, leases, opened, store
from tests.orchestrator.s3 import Faults, LikeGoogles, environment, server
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


@pytest.fixture(scope="module")
def s3():
    """The port of a server that has one bucket."""
    with server() as port:
        import boto3

        told = environment(port, "")
        boto3.client(
            "s3",
            endpoint_url=told["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        ).create_bucket(Bucket="lab")
        yield port


@pytest.fixture
def machine(s3, tmp_path, monkeypatch):
    """This process as a machine without a copy of anything; with `machine(port)`, as another."""

    def become(port=s3, cache=None):
        told = environment(port, cache or tmp_path / uuid.uuid4().hex)
        for key, value in told.items():
            monkeypatch.setenv(key, value)
        for remembered in (buckets.bucket, storages.copied, storages.bucket_of):
            remembered.cache_clear()
        return told

    monkeypatch.setattr(buckets, "AT_FIRST_S", 600.0)  # a bad line on a busy machine is no answer
    become()
    yield become
    for remembered in (buckets.bucket, storages.copied, storages.bucket_of):
        remembered.cache_clear()


@pytest.fixture
def address():
    """A storage that nobody has used."""
    return f"s3://lab/{uuid.uuid4().hex}"


def record(trial_id="ab12", status="ok", **more):
    return {"trial_id": trial_id, "status": status, **more}


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


# ---- large files ------------------------------------------------------------------------------


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
            storages.time.sleep(0.05)
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
    storages.time.sleep(0.15)  # what came while we asked is not taken for deleted
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
