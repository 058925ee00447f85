"""Damaged files of a storage: the rest is read, the damage is said once, and mended by a run."""

import json
import os
import shutil

import pytest

from analysis import results
from analysis.results import find_storage
from orchestrator import known, run
from orchestrator.driver import retry
from orchestrator.execute import execute
from orchestrator.manifests import read_manifest, recorded_sweeps, write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.storage import bucket_of, fresh
from orchestrator.sweep import Comparison, Sweep
from orchestrator.trouble import say
from trainables.leases import Leases

SWEEP = Sweep(
    name="lab/damaged",
    title="six trials",
    task="annotation",
    datasets=["toy"],
    seeds=[0, 1, 2],
    models={"mean": {}, "pca+probe": {}},
    analysis=[Comparison("pca+probe", "mean", metric="test/accuracy")],
)
PLANNED = 6


def changed(**keys):
    return lambda whole: json.dumps(json.loads(whole) | keys).encode()


def without(*path):
    def spoil(whole):
        found = json.loads(whole)
        within = found
        for key in path[:-1]:
            within = within[key]
        del within[path[-1]]
        return json.dumps(found).encode()

    return spoil


SPOILT = {
    "empty": lambda whole: b"",
    "cut short": lambda whole: whole[: len(whole) // 2],
    "no UTF-8": lambda whole: b"\xff\xfe" + os.urandom(50),
    "zeros": lambda whole: bytes(len(whole)),
    "a list": lambda whole: b"[1, 2]",
    "a number": lambda whole: b"3",
    "null": lambda whole: b"null",
    "a text": lambda whole: b'"ok"',
    "too deep": lambda whole: b"[" * 100_000,
    "an empty object": lambda whole: b"{}",
}
RECORDS = SPOILT | {
    "no metrics": without("metrics"),
    "no seed": without("trial", "seed"),
    "no fraction": without("trial", "task_params", "fraction"),
    "no seconds": without("cost", "wall_s"),
    "metrics as a list": changed(metrics=[0.5]),
    "a metric in words": changed(metrics={"test/accuracy": "high"}),
    "a metric that is none": lambda whole: whole.replace(b'"metrics": {', b'"metrics": {"x": NaN,'),
    "a status that is a number": changed(status=1),
    "times that are none": changed(started_at="yesterday"),
    "another trial's": changed(trial_id="0123456789abcdef"),
    "an id with a way out": changed(trial_id="../../escaped"),
    "a history of numbers": changed(history=[1, 2]),
}
MANIFESTS = SPOILT | {
    "no trials": without("trials"),
    "trials as a list": changed(trials=[]),
    "a trial that is none": changed(trials={"0123456789abcdef": 3}),
    "an id with a way out": changed(trials={"../../escaped": {}}),
    "another sweep's": changed(sweep="another"),
    "a name that is a number": changed(sweep=5),
    "no headline": without("headline"),
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A storage with a sweep of six trials, all of them done."""
    storage = tmp_path_factory.mktemp("whole")
    planned = plan(SWEEP, storage)
    write_manifest(storage, planned.manifest())
    for trial in planned.trials:
        execute(trial, storage, code_version="test")
    results("lab/damaged", storage)  # and its table is compacted
    return storage


@pytest.fixture
def storage(recorded, tmp_path):
    say.cache_clear()
    return shutil.copytree(recorded, tmp_path / "storage")


def a_record(storage):
    return sorted(storage.glob("records/??/*.json"))[2]


def spoil(path, how):
    path.write_bytes(how(path.read_bytes()))


def all_read(storage):
    """What every reader finds, none of which may raise."""
    manifest = read_manifest(storage, "lab/damaged")
    table = results("lab/damaged", storage)
    assert table["trial_id"].nunique() == results(storage=storage)["trial_id"].nunique()
    known.failures(storage, None)
    records = Ledger(storage).current(manifest["trials"])
    assert {record["trial_id"] for record in records} == set(table["trial_id"])
    (state,) = known.statuses(storage, None)
    return state


def values_of(storage):
    """Every measured value of the sweep, by trial and metric."""
    table = results("lab/damaged", storage)
    return {(row.trial_id, row.metric): row.value for row in table.itertuples()}


@pytest.mark.parametrize("kind", RECORDS)
def test_one_damaged_record_costs_one_trial(storage, capsys, kind):
    path, undisturbed = a_record(storage), values_of(storage)
    spoil(path, RECORDS[kind])
    stands = {"sweep": "lab/damaged", "planned": PLANNED, "ok": PLANNED - 1, "missing": 1}
    assert all_read(storage) == stands
    told = capsys.readouterr().err
    assert told.count("is damaged") == 1
    assert f"records/{path.parent.name}/{path.name} is damaged" in told
    assert "its trial counts as not run" in told
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()
    (trial,) = plan(SWEEP, storage).to_run
    assert trial.id == path.stem
    execute(trial, storage, code_version="test")
    assert all_read(storage)["ok"] == PLANNED
    assert values_of(storage) == undisturbed
    assert plan(SWEEP, storage).to_run == []


@pytest.mark.parametrize("kind", ["empty", "a list", "no metrics"])
def test_a_plan_sees_the_damage_though_nobody_read_it_before(storage, kind):
    path = a_record(storage)
    spoil(path, RECORDS[kind])
    assert [trial.id for trial in plan(SWEEP, storage).to_run] == [path.stem]
    other = Sweep("another name", "annotation", SWEEP.models, ["toy"], seeds=[0, 1, 2], name="new")
    spoil(path := a_record(storage), RECORDS[kind])
    assert path.stem in {trial.id for trial in plan(other, storage).to_run}


def test_a_folder_or_a_link_in_place_of_a_record(storage, capsys):
    path, other = a_record(storage), sorted(storage.glob("records/??/*.json"))[4]
    path.unlink()
    path.mkdir()
    other.unlink()
    other.symlink_to("nowhere")
    assert all_read(storage)["missing"] == 2
    assert capsys.readouterr().err.count("is damaged") == 2
    assert len(plan(SWEEP, storage).to_run) == 2


def test_a_damaged_attempt_leaves_the_one_before(storage):
    path = a_record(storage)
    failed = json.loads(path.read_text()) | {"status": "failed", "reason": "the first"}
    path.unlink()
    ledger = Ledger(storage)
    for reason in ("the first", "the second", "the third"):
        ledger.commit(failed | {"reason": reason})
    spoil(path.with_suffix(".2.json"), SPOILT["empty"])
    spoil(path.with_suffix(".3.json"), SPOILT["cut short"])
    assert ledger.last(path.stem)["reason"] == "the first"
    assert all_read(storage) == {
        "sweep": "lab/damaged",
        "planned": 6,
        "ok": 5,
        "failed": 1,
        "missing": 0,
    }
    ledger.commit(failed | {"reason": "the fourth"})
    assert ledger.last(path.stem)["reason"] == "the fourth"
    assert results("lab/damaged", storage).query("status == 'failed'")["reason"].unique() == [
        "the fourth"
    ]


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_damaged_manifest_is_made_again_from_the_records(storage, capsys, kind):
    (path,) = storage.glob("sweeps/*/*.json")
    whole = results("lab/damaged", storage)
    spoil(path, MANIFESTS[kind])
    assert all_read(storage)["ok"] == PLANNED
    again = results(storage=storage)
    assert sorted(again["value"].dropna()) == sorted(whole["value"].dropna())
    told = capsys.readouterr().err
    assert told.count("is damaged") == told.count("made again from 6 records") == 1
    assert "run the sweep again to renew it" in told
    assert "without arms and comparisons; to have them back, run the sweep again" in told
    name = "lab/damaged" if kind == "no headline" else recorded_sweeps(storage)[0]
    assert recorded_sweeps(storage) == [name]
    write_manifest(storage, plan(SWEEP, storage).manifest())  # as the next run does
    assert read_manifest(storage, "lab/damaged")["analysis"], "the sweep's own plan is back"


def test_an_older_manifest_counts_before_the_records(storage, capsys):
    (first,) = storage.glob("sweeps/*/*.json")
    newer = first.with_name("99991231T000000000.json")
    newer.write_text("{")
    assert all_read(storage)["ok"] == PLANNED
    assert read_manifest(storage, "lab/damaged")["analysis"]
    assert "an older plan counts" in capsys.readouterr().err
    assert newer.with_name(f"{newer.name}.damaged").exists()


def test_a_damaged_manifest_without_records_hides_no_other_sweep(storage, capsys):
    alone = storage / "sweeps/alone/20260101T000000000.json"
    alone.parent.mkdir()
    alone.write_text("")
    assert all_read(storage)["ok"] == PLANNED
    assert recorded_sweeps(storage) == ["lab/damaged"]
    assert "no record tells what the sweep 'alone' planned; run it again" in capsys.readouterr().err


def test_a_storage_that_may_only_be_read_is_read(storage, monkeypatch, capsys):
    spoil(a_record(storage), SPOILT["empty"])
    secret = sorted(storage.glob("records/??/*.json"))[4]
    shutil.rmtree(storage / "compacted")

    def refuse(error):
        def fail(path, *words, **more):
            if storage in path.parents:
                raise error(30, "Read-only file system", str(path))

        return fail

    path, read = type(storage), type(storage).read_bytes

    def read_bytes(one):
        if one == secret:
            raise PermissionError(13, "Permission denied", str(one))
        return read(one)

    for verb in ("rename", "replace", "write_text", "mkdir"):
        monkeypatch.setattr(path, verb, refuse(OSError))
    monkeypatch.setattr(path, "read_bytes", read_bytes)
    assert all_read(storage) == {"sweep": "lab/damaged", "planned": 6, "ok": 4, "missing": 2}
    told = capsys.readouterr().err
    assert told.count("not set aside: Read-only file system") == 1
    assert told.count("may not be read, and is left out; ask its owner for access") == 1
    assert len(list(storage.glob("records/??/*.json"))) == PLANNED, "what is unreadable stays"


@pytest.mark.parametrize(
    "spoil",
    [b"", b"\xff\xfe garbage", b"[]", b"../../etc/passwd", b"0" * 32, b'{"pid": "x"}', None],
)
def test_a_damaged_lease_counts_as_stale(tmp_path, spoil):
    with Leases(tmp_path / "other") as gone, Leases(tmp_path) as mine:
        holder = tmp_path / "holders" / ("0" * 32)
        holder.write_bytes(spoil or b"{}")
        if spoil is None:
            (tmp_path / "a.1").mkdir()
        else:
            (tmp_path / "a.1").write_bytes(spoil)
        (tmp_path / "b.1").write_text("0" * 32)
        (tmp_path / "a.note").write_text("no lease at all")
        assert mine.take(["a", "b"]) == {"a", "b"}
        assert gone.me != mine.me


@pytest.mark.parametrize("kind", ["empty", "cut short", "a list", "no metrics"])
def test_damage_in_a_bucket_is_set_aside_for_all(
    recorded, machine, address, tmp_path, capsys, kind
):
    say.cache_clear()
    place = plan(SWEEP, address).storage
    kept = bucket_of(place)
    for path in [*recorded.glob("records/??/*.json"), *recorded.glob("sweeps/*/*.json")]:
        kept.write(path.relative_to(recorded).as_posix(), path.read_bytes())
    record, manifest = sorted(kept.names("records/"))[1], next(iter(kept.names("sweeps/")))
    kept.write(record, RECORDS[kind](kept.read(record)))
    kept.write(manifest, SPOILT["empty"](b""))
    kept.write("leases/holders/0", b"garbage")
    machine(cache=tmp_path / "laptop")
    assert all_read(find_storage(address))["missing"] == 0, "the records that are left are the plan"
    told = capsys.readouterr().err
    assert told.count("is damaged (set aside") == 2
    assert f"{address}/{record} is damaged" in told
    assert {f"{record}.damaged", f"{manifest}.damaged"} <= set(kept.names(""))
    machine(cache=tmp_path / "another")
    assert len(plan(SWEEP, address).to_run) == 1
    assert "damaged" not in capsys.readouterr().err


def test_a_damaged_copy_of_a_whole_object_is_brought_again(recorded, machine, address, capsys):
    say.cache_clear()
    place = plan(SWEEP, address).storage
    kept = bucket_of(place)
    for path in [*recorded.glob("records/??/*.json"), *recorded.glob("sweeps/*/*.json")]:
        kept.write(path.relative_to(recorded).as_posix(), path.read_bytes())
    fresh(place, "records/")
    copy = a_record(place)
    before = copy.stat()
    copy.write_bytes(bytes(before.st_size))
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert all_read(find_storage(address))["missing"] == 0
    assert "damaged" not in capsys.readouterr().err


def test_commands_say_the_damage_in_one_sentence_and_mend_it(storage, gauntlet, tmp_path):
    file = tmp_path / "sweep.py"
    file.write_text(
        "from orchestrator import Comparison, Sweep\n"
        "SWEEP = Sweep(name='lab/damaged', title='six trials', task='annotation', datasets=['toy'],"
        " seeds=[0, 1, 2], models={'mean': {}, 'pca+probe': {}},"
        " analysis=[Comparison('pca+probe', 'mean', metric='test/accuracy')])\n"
    )
    path = a_record(storage)
    for words in (
        ["status", "lab/damaged"],
        ["compare", "pca+probe", "mean", "--sweep", "lab/damaged"],
        ["report", "lab/damaged"],
        ["failures"],
        ["sync"],
    ):
        spoil(a_record(storage), SPOILT["cut short"])
        code = 2 if words[0] in ("compare", "report") else 0  # what they say lacks a trial
        done = gauntlet(*words, "--storage", storage, expect=code)
        assert done.stderr.count("is damaged") == 1, done.stderr
        assert "Traceback" not in done.stderr
        shutil.copy(path.with_name(f"{path.name}.damaged"), path)  # damaged once more
        path = a_record(storage)
        for left in storage.glob("records/??/*.damaged"):
            left.unlink()
    done = gauntlet("run", file, "--storage", storage)
    assert f"of {PLANNED} planned {PLANNED} ok" in done.stdout


def test_a_run_and_a_retry_go_on_beside_damage(storage, capsys):
    spoil(a_record(storage), SPOILT["empty"])
    ran = run(SWEEP, storage)
    assert (ran.ran, ran.statuses) == (1, {"ok": PLANNED})
    spoil(a_record(storage), SPOILT["a list"])
    assert retry("lab/damaged", storage).statuses == {"ok": PLANNED - 1}
    assert capsys.readouterr().err.count("is damaged") == 2
