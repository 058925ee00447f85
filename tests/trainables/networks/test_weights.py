"""Weights: found or refused in words, read without running code, every key accounted for."""

import pickle

import pytest
import torch
from torch import nn

from trainables.networks import weights
from trainables.protocols import NotApplicable
from trainables.store import Store


class Evil:
    def __reduce__(self):
        return (print, ("this file has run code",))


def small():
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "best.pth"
    state = {f"module.{key}": value for key, value in small().state_dict().items()}
    torch.save({"epoch": 3, "model_state_dict": state, "losses": 0.5}, path)
    return path


def test_a_training_script_s_checkpoint_is_read_whatever_it_is_wrapped_in(saved):
    assert set(weights.read(saved)) == set(small().state_dict())


def test_safetensors_are_read_alike(saved, tmp_path):
    from safetensors.torch import save_file

    save_file(weights.read(saved), tmp_path / "model.safetensors")
    again = weights.read(tmp_path / "model.safetensors")
    assert all(torch.equal(again[key], value) for key, value in weights.read(saved).items())


def test_numbers_of_numpy_beside_the_tensors_are_no_code(tmp_path):
    import numpy as np

    torch.save({"state_dict": small().state_dict(), "loss": np.float64(0.1)}, tmp_path / "a.pt")
    assert weights.read(tmp_path / "a.pt")


def test_code_in_a_file_is_never_run(tmp_path, capsys):
    for name, dump in {"new.pt": torch.save, "old.bin": plain_pickle}.items():
        dump({"state_dict": small().state_dict(), "hook": Evil()}, tmp_path / name)
        with pytest.raises(ValueError, match=f"{name} holds Python code"):
            weights.read(tmp_path / name)
    assert "run code" not in capsys.readouterr().out


def plain_pickle(value, path):
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_cut_short_is_refused_in_words(tmp_path, suffix):
    from safetensors.torch import save_file

    path = tmp_path / f"cut.{suffix}"
    (torch.save if suffix == "pt" else save_file)(small().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"cannot be read as weights .*again"):
        weights.read(path)


def test_a_missing_file_and_a_file_without_tensors_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no weights file"):
        weights.read(tmp_path / "none.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(ValueError, match="holds no tensors"):
        weights.read(tmp_path / "empty.pt")


def test_every_key_is_accounted_for(saved):
    module, state = small(), weights.read(saved)
    state["0.w"] = state.pop("0.weight")
    state["head.bias"] = torch.zeros(1)
    state["counter"] = torch.zeros(1)

    def rename(key):
        return {"0.w": "0.weight", "counter": None}.get(key, key)

    loaded = weights.load(module, state, source="f", rename=rename, may_ignore=("head.*",))
    assert torch.equal(module.state_dict()["0.weight"], state["0.w"])
    assert loaded.renamed == {"0.w": "0.weight"}
    assert loaded.ignored == ("head.bias", "counter")
    assert set(loaded.loaded) == set(module.state_dict())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("1.bias"), r"f lacks 1\.bias;"),
        (lambda s: s.update(extra=torch.zeros(1)), "f has, and the model has not, extra;"),
        (
            lambda s: s.update({"1.bias": torch.zeros(4)}),
            r"in another shape 1\.bias \(4,\) instead of \(1,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_touched(saved, change, says):
    module, state = small(), weights.read(saved)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=says):
        weights.load(module, state, source="f")
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_what_may_stay_as_it_was_is_named(saved):
    state = weights.read(saved)
    del state["1.bias"]
    assert weights.load(small(), state, source="f", may_miss=("1.*",)).missing == ("1.bias",)


def test_an_identity_is_the_content_s_not_the_place_s(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    first = weights.identity(str(saved), "m")
    moved = saved.rename(tmp_path / "elsewhere.pth")
    assert weights.identity(str(moved), "m") == first
    torch.save(small().state_dict(), moved)
    assert weights.identity(str(moved), "m") != first
    assert weights.identity("human", "m") == "absent:human"
    (tmp_path / "m" / "human").mkdir(parents=True)
    assert weights.identity("human", "m").startswith("sha256:")
    assert weights.identity("trial:ab", "m") == "trial:ab"


def test_weights_that_are_not_there_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    store = Store(tmp_path / "store")
    with pytest.raises(NotApplicable, match="gauntlet models fetch m"):
        weights.folder("human", store, "m")
    with pytest.raises(ValueError, match="correct the path"):
        weights.folder("./nowhere.pt", store, "m")
    with pytest.raises(ValueError, match="gauntlet retry"):
        weights.folder("trial:0123", store, "m")
    kept = store.get(weights.recipe("0123"), lambda draft: (draft / "w.pt").touch())
    assert weights.folder("trial:0123", store, "m") == kept


# ---- files as people have them -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>sign in</html>", "is a web page"),
    ],
)
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_page_or_a_pointer_is_called_that(tmp_path, name, text, words):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(ValueError, match=words):
        weights.read(tmp_path / name)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_the_prefixes_of_wrappers_are_taken_off(tmp_path, prefix):
    torch.save(
        {f"{prefix}weight": torch.ones(2), f"{prefix}bias": torch.ones(1)}, tmp_path / "w.pt"
    )
    assert set(weights.read(tmp_path / "w.pt")) == {"weight", "bias"}


def test_a_name_that_only_some_tensors_begin_with_stays(tmp_path):
    torch.save({"model.weight": torch.ones(2), "bias": torch.ones(1)}, tmp_path / "w.pt")
    assert set(weights.read(tmp_path / "w.pt")) == {"model.weight", "bias"}


def test_sharded_safetensors_are_read_whole(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.zeros(3)}, tmp_path / "model-2.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}')
    assert set(weights.read(index)) == {"a", "b"}
    index.write_text('{"weight_map": {"a": "../model-1.safetensors"}}')
    with pytest.raises(ValueError, match="beside it"):
        weights.read(index)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_the_tensor(value):
    module = torch.nn.Linear(2, 1)
    state = {"weight": torch.tensor([[1.0, value]]), "bias": torch.zeros(1)}
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 2 values of weight"):
        weights.load(module, state, source="x.pt")


def test_a_variant_cannot_lead_out_of_the_models_folder():
    with pytest.raises(ValueError, match="no name of a file"):
        weights.check("..", "scgpt")
