"""What a trial is given, by the machines that are there and those that may still come."""

import pytest

from orchestrator.machines import GROWS, given, may_come, refuse_what_never_fits, without_gpu

CPUS, GPUS = {"CPU": 16.0, "memory": 1e9}, {"CPU": 8.0, "GPU": 1.0}


def test_a_gpu_is_asked_for_where_one_is_or_may_come():
    assert given("scgpt", [CPUS, GPUS])["GPU"] == 1
    assert "GPU" not in given("scgpt", [CPUS])
    assert without_gpu(["scgpt", "logreg", "scgpt"], [CPUS]) == ["scgpt"]
    assert without_gpu(["scgpt", "logreg"], [CPUS, GPUS]) == []


def test_what_may_come_is_read_from_the_environment(monkeypatch):
    monkeypatch.delenv(GROWS, raising=False)
    assert may_come() == []
    monkeypatch.setenv(GROWS, '[{"CPU": 16}, {"CPU": 8, "GPU": 1}]')
    assert may_come() == [{"CPU": 16.0}, {"CPU": 8.0, "GPU": 1.0}]


@pytest.mark.parametrize("told", ["yes", '{"CPU": 8}', "[8]", '[{"CPU": "many"}]', "7"])
def test_nonsense_there_is_one_sentence(monkeypatch, told):
    monkeypatch.setenv(GROWS, told)
    with pytest.raises(ValueError, match="is no list of machines; write it as"):
        may_come()


def test_all_that_a_trial_wants_must_be_on_one_machine():
    refuse_what_never_fits(["scgpt", "logreg"], [CPUS, GPUS], cluster=True)
    small = [{"CPU": 16.0}, {"CPU": 0.5, "GPU": 1.0}]
    with pytest.raises(ValueError, match=r"scgpt asks for .*it has: 0.5 CPU, 1 GPU; 16 CPU, 0 GPU"):
        refuse_what_never_fits(["logreg", "scgpt"], small, cluster=True)
    with pytest.raises(ValueError, match="it has: none"):
        refuse_what_never_fits(["logreg"], [], cluster=True)
