"""The loop: what it does to weights, and that a kill changes nothing."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainables.networks.generators import seeded
from trainables.networks.precision import autocast, usable
from trainables.networks.processes import parted
from trainables.networks.rates import exponential, warmup_cosine
from trainables.networks.training import Plan, Training

SCRIPT = Path(__file__).parent / "training_script.py"


def start(*words):
    """The script in a process of its own."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[3])},
    )


def here(checkpoint, out):
    """The script in this process: what it kept, and what it told."""
    spec = importlib.util.spec_from_file_location("training_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    told, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    script.main(checkpoint, out, report=told.append)
    torch.set_num_threads(threads)
    return torch.load(out, weights_only=True), told


def same(a, b, tolerance=0.0):
    return a.keys() == b.keys() and all(
        torch.allclose(a[key], b[key], rtol=tolerance, atol=tolerance) for key in a
    )


def killed_mid_epoch(checkpoint, out):
    """Start slowly, wait for a checkpoint inside the second epoch, SIGKILL; where it was."""
    process = start(checkpoint, out, 0.1)
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if checkpoint.exists():
            at = torch.load(checkpoint, weights_only=True)["progress"]
            if at["epoch"] == 1 and at["step"]:
                break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    return torch.load(checkpoint, weights_only=True)["progress"]


def test_a_training_killed_mid_epoch_ends_with_the_weights_of_one_that_was_not(tmp_path):
    whole, told = here(tmp_path / "a.ckpt", tmp_path / "a.pt")
    at = killed_mid_epoch(tmp_path / "b.ckpt", tmp_path / "b.pt")
    assert at["epoch"] == 1
    assert 0 < at["step"] < 3
    again, told_again = here(tmp_path / "b.ckpt", tmp_path / "b.pt")
    assert same(whole["weights"], again["weights"])
    assert whole["history"] == again["history"]
    assert told == told_again  # the epochs before the kill are told again
    third, _ = here(tmp_path / "b.ckpt", tmp_path / "b.pt")
    assert same(whole["weights"], third["weights"])  # nothing is trained twice


def least_squares(plan, evaluate=None, parts=1, **more):
    """A linear model of twelve rows; the rows of every pass, and the training."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(12, 3)))
    y = x @ torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    module = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(module.weight)
    seen = []

    def loss(rows, draws):
        seen.append(rows.tolist())
        for part in parted(rows, parts):
            yield ((module(x[part])[:, 0] - y[part]) ** 2).sum() / len(rows)

    optimizer = torch.optim.SGD(module.parameters(), lr=99)
    rate = more.pop("rate", exponential(0.1, 1.0))
    training = Training(
        module, loss, 12, plan, 0, optimizer, rate, evaluate=evaluate, **more
    )  # fmt: skip
    return training, seen


def test_accumulated_passes_are_one_large_batch():
    small, _ = least_squares(Plan(epochs=3, batch=2, accumulate=6))
    large, _ = least_squares(Plan(epochs=3, batch=12))
    small.run()
    large.run()
    assert torch.allclose(small.module.weight, large.module.weight, rtol=1e-12)
    assert small.module.weight.abs().sum() > 0.1


def test_a_batch_in_parts_is_the_same_batch():
    whole, seen = least_squares(Plan(epochs=3, batch=5))
    parts, seen_in_parts = least_squares(Plan(epochs=3, batch=5), parts=4)
    told = [training.run().history for training in (whole, parts)]
    assert torch.allclose(whole.module.weight, parts.module.weight, rtol=1e-12)
    assert seen == seen_in_parts
    for one, other in zip(*told, strict=True):
        assert other == pytest.approx(one)


def test_orders_are_drawn_anew_each_epoch_or_never():
    shuffled, seen = least_squares(Plan(epochs=2, batch=12))
    shuffled.run()
    first, second = seen
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    plain, seen = least_squares(Plan(epochs=2, batch=5, shuffle=False))
    plain.run()
    assert seen[:3] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]] == seen[3:]


def test_the_first_of_equally_good_epochs_is_kept():
    values = iter([0.2, 0.9, 0.9, 0.5])
    training, _ = least_squares(
        Plan(epochs=4, batch=12, best="valid/accuracy"),
        evaluate=lambda: {"valid/accuracy": next(values)},
    )
    done = training.run()
    two, _ = least_squares(Plan(epochs=2, batch=12))
    two.run()
    assert done.best_epoch == 2
    assert torch.equal(training.module.weight, two.module.weight)
    assert [told["epoch"] for told in done.history] == [1, 2, 3, 4]


def test_where_less_is_better_the_least_is_kept():
    values = iter([3.0, 1.0, 2.0])
    training, _ = least_squares(
        Plan(epochs=3, batch=12, best="-valid/loss"), evaluate=lambda: {"valid/loss": next(values)}
    )
    assert training.run().best_epoch == 2


def test_the_rate_follows_epochs_or_steps():
    for per, expected in [("epoch", [0, 1]), ("step", [2, 5])]:
        training, _ = least_squares(
            Plan(epochs=2, batch=4, per=per), rate=lambda i: float(i) * 1e-3
        )
        told = [metrics["lr"] for metrics in training.run().history]
        assert told == [i * 1e-3 for i in expected]


def test_gradients_are_clipped_together():
    training, _ = least_squares(Plan(epochs=1, batch=12, clip=1e-3))
    training.run()
    assert training.module.weight.norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_a_training_that_diverges_says_so():
    training, _ = least_squares(Plan(epochs=500, batch=12), rate=exponential(1e9, 1.0))
    with pytest.raises(ValueError, match="diverged; lower the learning rate"):
        training.run()


def test_nothing_to_train_on_is_refused():
    module = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="nothing to train on"):
        Training(module, lambda *_: None, 0, Plan(1, 1), 0, None, exponential(1, 1))


def test_torchs_own_generator_is_left_alone():
    training, _ = least_squares(Plan(epochs=1, batch=4))
    before = torch.get_rng_state()
    with seeded(0, "init"):
        torch.rand(3)
    training.run()
    assert torch.equal(before, torch.get_rng_state())


def test_a_cpu_computes_in_float32_whatever_was_asked():
    cpu = torch.device("cpu")
    assert {usable(p, cpu) for p in ("float32", "bfloat16", "float16")} == {"float32"}
    with autocast(cpu, "float16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_scberts_first_ten_rates_are_the_papers():
    """As the authors' scheduler gives them, stepped once an epoch."""
    authors = [1e-6, 2.08e-5, 4.06e-5, 6.04e-5, 8.02e-5, 1e-4, 9.76e-5, 9.05e-5, 7.96e-5, 6.58e-5]
    rate = warmup_cosine(1e-4, 1e-6, warmup=5, cycle=15)
    assert [rate(i) for i in range(10)] == pytest.approx(authors, rel=2e-3)
    assert rate(15) == 1e-6
    assert rate(20) == pytest.approx(0.9e-4)
    assert rate(40) == 1e-6
