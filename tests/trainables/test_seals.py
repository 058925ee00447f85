"""Damaged artifacts of the store are known when they are opened, and made again."""

import shutil
import threading

import numpy as np
import pytest

from orchestrator.execute import execute
from trainables import seals
from trainables.store import Store
from trainables.trial import Trial


def make(draft):
    (draft / "deep").mkdir()
    np.save(draft / "deep/numbers.npy", np.arange(1000))
    (draft / "words.txt").write_text("whole")


def cut(home):
    path = home / "deep/numbers.npy"
    path.write_bytes(path.read_bytes()[:500])


def flipped(home):
    path = home / "deep/numbers.npy"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 255
    path.write_bytes(whole)


def as_a_file(home):
    shutil.rmtree(home)
    home.write_text("no folder")


SPOILT = {
    "cut short": cut,
    "another byte": flipped,
    "empty": lambda home: (home / "words.txt").write_bytes(b""),
    "a file gone": lambda home: (home / "words.txt").unlink(),
    "a folder gone": lambda home: shutil.rmtree(home / "deep"),
    "a damaged seal": lambda home: (home / seals.SEAL).write_bytes(b"\xff["),
    "a seal of another kind": lambda home: (home / seals.SEAL).write_text("[1]"),
    "no seal and no recipe": lambda home: [p.unlink() for p in home.glob("*.json")],
    "a file in its place": as_a_file,
    "an empty folder": lambda home: [shutil.rmtree(home), home.mkdir()],
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_damaged_artifact_is_made_again(tmp_path, capsys, kind):
    store = Store(tmp_path)
    home = store.get({"a": 1}, make)
    SPOILT[kind](home)
    seals.changed.cache_clear()  # as in another process
    assert store.find({"a": 1}) is None
    assert store.get({"a": 1}, make) == home
    assert np.array_equal(np.load(home / "deep/numbers.npy"), np.arange(1000))
    assert (home / "words.txt").read_text() == "whole"
    assert capsys.readouterr().err.count("is damaged") == 1
    store.get({"a": 1}, make)
    assert capsys.readouterr().err == ""
    assert not list((tmp_path / "drafts").iterdir())


def test_of_many_who_find_the_damage_one_makes_it_again(tmp_path):
    store, made, homes = Store(tmp_path), [], []
    cut(store.get({"a": 1}, make))

    def again(draft):
        made.append(draft)
        make(draft)

    def ask():
        homes.append(np.load(Store(tmp_path).get({"a": 1}, again) / "deep/numbers.npy").sum())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), homes) == (1, [499500] * 6)


def test_an_artifact_older_than_seals_is_taken_as_it_is(tmp_path):
    home = Store(tmp_path).get({"a": 1}, make)
    (home / seals.SEAL).unlink()
    assert Store(tmp_path).find({"a": 1}) == home


@pytest.mark.parametrize("name", ["data.npy", "names.h5ad", "cells.txt"])
def test_trials_go_on_where_prepared_cells_are_damaged(tmp_path, name):
    first = execute(Trial("mean", "annotation", "toy", 0), tmp_path, code_version="test")
    whole = [path for path in tmp_path.glob("store/??/*/*") if path.name == name]
    if not whole:
        whole = sorted(tmp_path.glob("store/??/*/*.npy"))[:1]
    for path in whole:
        path.write_bytes(path.read_bytes()[:100])
    from trainables.cells import open_cells

    open_cells.cache_clear()
    second = execute(Trial("mean", "annotation", "toy", 1), tmp_path, code_version="test")
    assert (first["status"], second["status"]) == ("ok", "ok")
