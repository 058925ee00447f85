"""Several processes that share a training: they do what one does, and do not wait for the dead."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.networks.processes import Place, add_up, bunches, hosted, interface, joined, parted
from trainables.protocols import Apart

SCRIPT = Path(__file__).parent / "training_script.py"


def start(place, rank, out, checkpoint="", pause=0.0):
    """The script, as one process of several."""
    words = [checkpoint, out, pause, json.dumps(asdict(place)), rank]
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[3])},
    )


def alone(out, checkpoint=None):
    """The script in this process: what it kept."""
    spec = importlib.util.spec_from_file_location("training_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    script.main(checkpoint, out, report=lambda told: None)
    torch.set_num_threads(threads)
    return torch.load(out, weights_only=True)


def same(a, b, tolerance):
    assert a["weights"].keys() == b["weights"].keys()
    for key, value in a["weights"].items():
        torch.testing.assert_close(b["weights"][key], value, rtol=0, atol=tolerance)
    for one, other in zip(a["history"], b["history"], strict=True):
        rows = {"micro_batch"}
        assert {k: v for k, v in other.items() if k not in rows} == pytest.approx(
            {k: v for k, v in one.items() if k not in rows}, abs=10 * tolerance
        )


def test_two_processes_with_shares_of_unequal_size_do_what_one_does(tmp_path):
    with hosted("127.0.0.1", 2) as place:
        ranks = [start(place, rank, tmp_path / f"two-{rank}.pt") for rank in range(2)]
        said = [rank.communicate(timeout=600) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    kept = [torch.load(tmp_path / f"two-{rank}.pt", weights_only=True) for rank in range(2)]
    one = alone(tmp_path / "one.pt")
    same(one, kept[0], 1e-6)
    same(kept[0], kept[1], 0.0)
    assert one["history"][0]["micro_batch"] == 5
    assert kept[0]["history"][0]["micro_batch"] == 3
    assert [out.count("valid/loss") for out, _ in said] == [4, 0], "process 0 reports"


def test_a_process_that_dies_ends_the_others_and_one_alone_goes_on_from_there(tmp_path):
    checkpoint = tmp_path / "c.ckpt"
    with hosted("127.0.0.1", 2) as place:
        ranks = [
            start(place, 0, tmp_path / "two-0.pt", checkpoint, 0.1),
            start(place, 1, tmp_path / "two-1.pt", "", 0.1),
        ]
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and all(rank.poll() is None for rank in ranks):
            if checkpoint.exists():
                at = torch.load(checkpoint, weights_only=True)["progress"]
                if at["epoch"] == 1 and at["step"]:
                    break
            time.sleep(0.01)
        ranks[1].send_signal(signal.SIGKILL)
        said = ranks[0].communicate(timeout=600)[1]
        ranks[1].communicate()
    assert ranks[0].returncode == 1
    assert "Apart: process 0 lost touch with the others" in said
    at = torch.load(checkpoint, weights_only=True)["progress"]
    assert at["epoch"] == 1
    assert at["step"]
    gone_on = alone(tmp_path / "two.pt", checkpoint)
    same(alone(tmp_path / "one.pt"), gone_on, 1e-6)
    assert [told["micro_batch"] for told in gone_on["history"]] == [3, 5, 5, 5]


def test_who_waits_in_vain_says_so():
    with (
        hosted("127.0.0.1", 2, patience_s=1) as place,
        pytest.raises(Apart, match="2 processes of the trial did not meet at 127"),
        joined(place, 0),
    ):
        pass
    assert not torch.distributed.is_initialized()
    gone = Place("127.0.0.1", place.port, 2, 1)
    with pytest.raises(Apart, match="within 1 s"), joined(gone, 1):
        pass


def test_who_waits_may_be_told_that_another_will_not_come():
    def gone():
        raise Apart("process 1 died")

    with (
        hosted("127.0.0.1", 2) as place,
        pytest.raises(Apart, match="process 1 died"),
        joined(place, 0, meanwhile=gone),
    ):
        pass
    assert not torch.distributed.is_initialized()


def test_a_place_to_meet_listens_at_its_own_address_alone():
    with hosted("127.0.0.1", 1) as place:
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        ports = [line.split()[1] for line in listening.splitlines() if " 0A " in line]
        assert [p for p in ports if p.endswith(f":{place.port:04X}")] == [
            f"0100007F:{place.port:04X}"
        ]
        with joined(place, 0):
            assert torch.distributed.get_world_size() == 1
    assert interface("127.0.0.1") == "lo"
    assert interface("203.0.113.7") == ""


def test_alone_all_rows_are_mine_and_gradients_stay():
    assert [part.tolist() for part in parted(np.arange(3), 2)] == [[0, 1], [2]]
    assert parted(np.arange(0), 2) == []
    module = torch.nn.Linear(1, 1)
    total = torch.tensor(3.0)
    assert add_up(module, total) is total
    assert module.weight.grad is None


def test_bunches_keep_order_and_size(monkeypatch):
    monkeypatch.setattr("trainables.networks.processes.AT_ONCE", 5)
    tensors = [torch.zeros(n) for n in (3, 2, 1, 9, 1)]
    assert [[len(t) for t in some] for some in bunches(tensors)] == [[3, 2], [1], [9], [1]]
