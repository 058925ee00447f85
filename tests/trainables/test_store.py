"""The store: made once, whole or not at all."""

import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.store import Store, canonical, digest


def test_an_artifact_is_made_once(tmp_path):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "x").write_text("whole")

    store = Store(tmp_path)
    homes = {store.get({"a": 1}, make) for _ in range(3)}
    assert len(made) == len(homes) == 1
    assert (homes.pop() / "x").read_text() == "whole"


def test_what_fails_while_being_made_leaves_nothing(tmp_path):
    def make(folder):
        (folder / "half").write_text("half")
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        Store(tmp_path).get({"a": 1}, make)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_of_racing_makers_one_makes_and_the_others_wait(tmp_path):
    made, homes = [], []

    def make(folder):
        made.append(folder)
        time.sleep(0.3)  # the others ask meanwhile
        (folder / "x").write_text("same")

    def ask():
        homes.append(Store(tmp_path).get({"a": 1}, make))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(homes) == 4
    assert len(set(homes)) == 1
    assert not list((tmp_path / "drafts").iterdir())


def test_a_killed_maker_is_replaced(tmp_path):
    """It had the lease; whoever waits takes over at once, for the process is gone."""
    code = """
import os, signal, sys
from pathlib import Path
from trainables.store import Store
def make(folder):
    (folder / "half").write_text("half")
    print("making", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
Store(Path(sys.argv[1])).get({"a": 1}, make)
"""
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
    assert died.stdout == b"making\n"
    home = Store(tmp_path).get({"a": 1}, lambda folder: (folder / "x").touch())
    assert sorted(path.name for path in home.iterdir()) == ["recipe.json", "seal.json", "x"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), plain))
def test_the_order_of_keys_does_not_matter(value):
    turned = dict(reversed(list(value.items())))
    assert canonical(value) == canonical(turned)
    assert digest(value) == digest(turned)


def test_what_json_cannot_say_has_no_digest():
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})
