"""Ray that does not start: once more, then one sentence."""

import sys

import pytest

from orchestrator import cli, launch

SAID = "The current node timed out during startup. This could happen because some of the raylet"


@pytest.fixture
def starts(monkeypatch):
    """What `ray.init` does, call by call: an error, or nothing."""
    answers, asked = [], []

    def init(**options):
        asked.append(options)
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr(launch, "refuse_unlike", lambda address: None)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    return answers, asked


def test_ray_that_was_too_slow_is_started_once_more(starts):
    answers, asked = starts
    answers += [Exception(SAID), None]
    with launch.connected():
        assert len(asked) == 2


def test_ray_that_is_too_slow_twice_is_one_sentence(starts, monkeypatch, capsys):
    answers, asked = starts
    answers += [Exception(SAID), RuntimeError("Failed to start GCS. Last connection error: x")]

    def app():
        with launch.connected():
            raise AssertionError("it did not start")

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["gauntlet"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "Ray did not start within 30 s, twice" in said
    assert "run the same again" in said
    assert len(said.strip().splitlines()) == 1
    assert len(asked) == 2


@pytest.mark.parametrize("address", [None, "ray.example:6379"])
def test_other_errors_and_clusters_speak_for_themselves(starts, address):
    answers, asked = starts
    answers.append(ConnectionError("no such cluster") if address else KeyError("ours"))
    with pytest.raises(type(answers[0])), launch.connected(address):
        pass
    assert len(asked) == 1
