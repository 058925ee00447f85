"""Names that others wrote become no path outside the folder that they were meant for."""

import io
import json
import tarfile

import pytest

from analysis import results
from analysis.results import find_storage
from orchestrator import known, run
from orchestrator.execute import execute
from orchestrator.manifests import write_manifest
from orchestrator.mlflow_runs import as_run
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.storage import bucket_of, carried, fresh, opened, store
from orchestrator.sweep import Sweep
from orchestrator.trouble import say
from trainables.layouts import read_10x_archive
from trainables.paths import below, unpack
from trainables.sources import Published

SWEEP = Sweep(
    name="foreign",
    title="names",
    task="annotation",
    datasets=["toy"],
    seeds=[0],
    models={"mean": {}},
)
HOSTILE = (
    "../../../home/.bashrc",
    "/../../../home/.ray/auth_token",
    "//etc/cron.d/x",
    "./../../escaped",
    "ab/../../../../escaped.json",
    "ab/ab12.json/../../../../../escaped",
    "ab\\..\\..\\escaped",
    ".bucket",
    "x" * 300 + ".json",
    "ab/",
    "zz/ab12.json",  # which is no record, and no manifest
)


def everything_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def outside(folder, *inside):
    return [p for p in everything_in(folder) if not any(p.is_relative_to(i) for i in inside)]


@pytest.fixture
def bucket(machine, address, tmp_path):
    """A bucket with a sweep of one trial, and a machine that has not seen it."""
    say.cache_clear()
    planned = plan(SWEEP, address)
    write_manifest(planned.storage, planned.manifest())
    for trial in planned.trials:
        execute(trial, planned.storage, code_version="test")
    kept = bucket_of(planned.storage)
    machine(cache=tmp_path / "deep/down/cache")
    return kept


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "a//b", "a/./b", "", ".", "a\0b"])
def test_a_name_that_leads_out_of_a_folder_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="is no name of a file in"):
        below(tmp_path, name)


@pytest.mark.parametrize("folder", ["records/", "sweeps/", "artifacts/", "checkpoints/"])
def test_keys_of_a_bucket_write_nothing_outside_of_the_cache(
    bucket, address, tmp_path, capsys, folder
):
    for key in HOSTILE:
        bucket.write(folder + key, b"echo owned")
    (trial,) = plan(SWEEP, address).trials
    table = results("foreign", address)
    assert set(table["trial_id"]) == {trial.id}
    place = find_storage(address)
    fresh(place, "artifacts/", "checkpoints/")
    with carried(place, "checkpoints"):
        pass
    assert known.statuses(place, None) == [
        {"sweep": "foreign", "planned": 1, "ok": 1, "missing": 0}
    ]
    assert not outside(tmp_path, tmp_path / "deep/down/cache", *tmp_path.glob("[0-9a-f]*")), folder
    got = [p for p in everything_in(place) if p.read_bytes() == b"echo owned"]
    assert got == [p for p in [place / folder / HOSTILE[-1]] if folder[0] in "ac"]
    told = capsys.readouterr().err
    assert told.count("left alone in s3://lab/") == 1
    assert "find out who wrote them" in told
    assert folder + HOSTILE[1] in bucket.names(folder), "what is unknown stays"


def test_a_command_says_which_keys_it_left_alone(bucket, address, s3, gauntlet, tmp_path):
    from tests.orchestrator.s3 import environment

    bucket.write("records/../../../../home/.bashrc", b"echo owned")
    home = tmp_path / "home"
    home.mkdir()
    told = environment(s3, home / "cache") | {"HOME": str(home)}
    done = gauntlet("results", "--storage", address, "--format", "csv", **told)
    assert done.stdout.count("\n") > 1
    assert done.stderr.count("left alone") == 1, done.stderr
    assert not outside(home, home / "cache")


def test_an_id_in_a_manifest_deletes_and_reads_nothing_outside(bucket, address, tmp_path):
    precious = tmp_path / "deep/down/precious/umap.parquet"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    place = find_storage(address)
    up = "../" * len((place / "artifacts").relative_to(tmp_path / "deep/down").parts) + "precious"
    assert (place / "artifacts" / up / "umap.parquet").resolve() == precious
    for prefix in (f"artifacts/{up}/", f"artifacts/{up}/umap.parquet"):
        with pytest.raises(ValueError, match="is no name of a file"):
            fresh(place, prefix)
    assert precious.read_text() == "mine"
    with pytest.raises(ValueError, match="is no name of a file"):
        as_run(place, "foreign", {"trial_id": up, "trial": {}, "history": [], "metrics": {}}, {})
    with pytest.raises(ValueError, match="is no trial's id"):
        Ledger(place).last(f"../{up}")
    with pytest.raises(LookupError, match="no model, task, data set, sweep or trial"):
        known.everything("../../etc/passwd", place)


def member(name, kind=tarfile.REGTYPE, to="", content=b"owned"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, to, len(content) if kind == tarfile.REGTYPE else 0
    return info, io.BytesIO(content)


BAD_TARS = {
    "a name above": [member("../escaped")],
    "an absolute name": [member("/tmp/escaped")],
    "a way through a link": [member("in", tarfile.SYMTYPE, "../.."), member("in/escaped")],
    "a link out": [member("passwd", tarfile.SYMTYPE, "/etc/passwd")],
    "a hard link out": [member("own", tarfile.LNKTYPE, "../../recipe.json")],
    "a device": [member("null", tarfile.CHRTYPE)],
    "a pipe": [member("pipe", tarfile.FIFOTYPE)],
}


def tar_of(members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(*member("good.txt", content=b"good"))
        for one in members:
            one[1].seek(0)
            tar.addfile(*one)
    return packed.getvalue()


@pytest.mark.parametrize("kind", BAD_TARS)
def test_an_archive_with_a_way_out_is_unpacked_not_at_all(kind, tmp_path):
    archive, folder = tmp_path / "a.tar", tmp_path / "deep/down/folder"
    folder.mkdir(parents=True)
    archive.write_bytes(tar_of(BAD_TARS[kind]))
    with pytest.raises(ValueError, match=r"a link or a device|is no name of a file"):
        unpack(archive, folder)
    assert everything_in(tmp_path) == [archive]


@pytest.mark.parametrize("kind", [*BAD_TARS, "cut short", "empty"])
def test_a_bad_artifact_of_a_bucket_is_made_again(machine, address, tmp_path, capsys, kind):
    say.cache_clear()
    machine(cache=tmp_path / "deep/down/cache")
    place, recipe = opened(address), {"what": "numbers"}
    home = store(place).home(recipe)
    whole = tar_of(BAD_TARS.get(kind, []))
    content = {"cut short": whole[:700], "empty": b""}.get(kind, whole)
    bucket_of(place).write(f"store/{home.name[:2]}/{home.name}.tar", content)
    made = store(place).get(recipe, lambda draft: (draft / "n.txt").write_text("1"))
    assert (made / "n.txt").read_text() == "1"
    assert not outside(tmp_path, tmp_path / "deep/down/cache", *tmp_path.glob("[0-9a-f]*"))
    assert capsys.readouterr().err.count("is made again") == 1
    machine(cache=tmp_path / "other")
    assert (store(opened(address)).find(recipe) / "n.txt").read_text() == "1", "it is whole for all"


def test_linked_files_of_an_artifact_reach_another_machine(machine, address, tmp_path):
    def make(draft):
        (draft / "n.txt").write_text("1")
        (draft / "same.txt").hardlink_to(draft / "n.txt")
        (draft / "soft.txt").symlink_to("n.txt")

    store(opened(address)).get({"what": "links"}, make)
    machine(cache=tmp_path / "other")
    there = store(opened(address)).find({"what": "links"})
    assert {(there / name).read_text() for name in ("n.txt", "same.txt", "soft.txt")} == {"1"}


def test_files_of_published_archives_keep_to_their_folder(tmp_path):
    archive = tmp_path / "counts.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(*member("genes.tsv", tarfile.SYMTYPE, "/etc/passwd"))
        tar.addfile(*member("../../matrix.mtx"))
    with pytest.raises(ValueError, match=r"lacks matrix.mtx, genes.tsv or barcodes.tsv"):
        read_10x_archive(archive)
    assert everything_in(tmp_path) == [archive]


def test_names_of_data_sets_sweeps_and_files_keep_to_their_folder(tmp_path):
    bad = Published("../../x", "", "", "", (), list, "counts", home=tmp_path)
    with pytest.raises(ValueError, match="is no name of a file in"):
        bad.folder  # noqa: B018
    with pytest.raises(ValueError, match=r"a sweep cannot be named '\.\.'"):
        run(
            Sweep(name="..", title="", task="annotation", datasets=["toy"], models={"mean": {}}),
            tmp_path,
        )
    assert not list(tmp_path.glob("*.json"))


def test_a_link_among_a_trials_artifacts_is_not_mirrored(tmp_path):
    planned = plan(SWEEP, tmp_path)
    (trial,) = planned.trials
    record = execute(trial, tmp_path, code_version="test")
    (tmp_path / "secret").write_text("key")
    (tmp_path / "artifacts" / trial.id / "notes.txt").symlink_to(tmp_path / "secret")
    told = as_run(tmp_path, "foreign", json.loads(json.dumps(record)), {})
    assert "notes.txt" not in told.artifacts
    assert "predictions.parquet" in told.artifacts


def test_an_artifact_that_a_bucket_keeps_damaged_is_made_again(machine, address, tmp_path):
    def make(draft):
        (draft / "n.txt").write_text("1")

    home = store(opened(address)).get({"what": "sealed"}, make)
    (home / "n.txt").write_text("another")
    key, tars = home.name, store(opened(address)).elsewhere
    tars.drop(key)
    assert tars.keep(key, home), "damaged as it is"
    machine(cache=tmp_path / "other")
    assert store(opened(address)).find({"what": "sealed"}) is None
    assert (store(opened(address)).get({"what": "sealed"}, make) / "n.txt").read_text() == "1"
    machine(cache=tmp_path / "third")
    assert (store(opened(address)).find({"what": "sealed"}) / "n.txt").read_text() == "1"
