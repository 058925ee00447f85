"""The store: made once, whole or not at all."""

import threading

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


def test_racing_makers_agree_on_one_copy(tmp_path):
    gate = threading.Barrier(4)
    homes = []

    def make(folder):
        gate.wait()  # all four are inside before any one is done
        (folder / "x").write_text("same")

    def ask():
        homes.append(Store(tmp_path).get({"a": 1}, make))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(homes) == 4
    assert len(set(homes)) == 1
    assert not list((tmp_path / "drafts").iterdir())


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
