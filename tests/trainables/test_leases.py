"""One holder at a time, and the dead hold nothing."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from trainables import leases
from trainables.leases import Leases, whoami

RACER = """
import sys
from pathlib import Path
from trainables.leases import Leases
names = [f"job {i}" for i in range(200)]
print("ready", flush=True)
sys.stdin.readline()
with Leases(Path(sys.argv[1])) as mine:
    print(*[name.split()[1] for name in mine.take(names)], flush=True)
    sys.stdin.readline()
"""


def racer(root):
    process = subprocess.Popen(
        [sys.executable, "-c", RACER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_racing_processes_share_without_overlap_and_the_dead_are_inherited(tmp_path):
    racers = [racer(tmp_path) for _ in range(4)]
    for process in racers:
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [set(process.stdout.readline().split()) for process in racers]
    assert set.union(*taken) == {str(i) for i in range(200)}
    assert sum(map(len, taken)) == 200
    racers[0].kill()
    racers[0].wait()
    with Leases(tmp_path) as mine:
        wanted = {f"job {i}" for i in range(200)}
        assert mine.take(wanted) == {f"job {i}" for i in taken[0]}
        for process in racers[1:]:
            process.communicate("end\n")
        assert mine.take(wanted) == wanted, "whoever ended left nothing behind"


def test_what_is_dropped_is_free_and_nothing_is_left(tmp_path):
    with Leases(tmp_path) as one, Leases(tmp_path) as two:
        assert one.take(["a", "b"]) == {"a", "b"}
        assert one.take(["a"]) == {"a"}, "mine stays mine"
        assert two.take(["a", "b", "c"]) == {"c"}
        one.drop(["a"])
        assert two.take(["a"]) == {"a"}
    assert [path.name for path in tmp_path.rglob("*")] == ["holders"]


def test_two_who_find_the_same_one_dead_do_not_both_inherit(tmp_path):
    with Leases(tmp_path) as dead:
        dead.take(["a"])
        dead.held.clear()  # it leaves its lease behind, as a killed process does
    heirs = [Leases(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for heir in heirs:
            heir.__enter__()
        assert sum(map(len, pool.map(lambda heir: heir.take(["a"]), heirs))) == 1
        for heir in heirs:
            heir.__exit__()


@pytest.mark.parametrize(("silent", "alive"), [(10, True), (90, False)])
def test_a_holder_elsewhere_is_judged_by_its_signs_of_life(tmp_path, silent, alive):
    with Leases(tmp_path) as mine:
        (tmp_path / "holders/far").write_text(json.dumps(whoami() | {"host": "far"}))
        os.utime(tmp_path / "holders/far", (time.time() - silent,) * 2)
        (tmp_path / "a.1").write_text("far")
        assert mine.take(["a"]) == (set() if alive else {"a"})


def test_a_used_again_process_number_is_another_process(tmp_path):
    with Leases(tmp_path) as mine:
        me = whoami()
        (tmp_path / "holders/old").write_text(json.dumps(me | {"born": "long ago"}))
        (tmp_path / "a.1").write_text("old")
        assert mine.take(["a"]) == {"a"}


def test_a_holder_shows_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.02)
    with Leases(tmp_path) as mine:
        card = tmp_path / "holders" / mine.me
        os.utime(card, (0, 0))
        deadline = time.monotonic() + 600
        while card.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert card.stat().st_mtime > 0
