"""Weights: found, read without running code in them, and loaded with every key accounted for."""

from __future__ import annotations

import fnmatch
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.external import (
    External,
    absolute,
    environment,
    find_path,
    fingerprint,
    placeholder,
)
from trainables.networks import MADE_BY
from trainables.paths import below
from trainables.protocols import Unavailable
from trainables.store import Store

if TYPE_CHECKING:
    from torch import Tensor, nn

HOLDERS = ("model_state_dict", "state_dict", "model")
"""Under which key training scripts keep the tensors beside optimizer and epoch."""
WRAPPERS = ("module.", "_orig_mod.", "model.")
"""Prefixes of every name, from DistributedDataParallel, torch.compile and Lightning."""
INDEX = ".safetensors.index.json"


# ---- where weights are ------------------------------------------------------------------------


def home() -> Path:
    """Folder of published weights: `$GAUNTLET_WEIGHTS`, else `gauntlet-weights` here."""
    return absolute(environment("GAUNTLET_WEIGHTS", "gauntlet-weights"))


def recipe(trial: str) -> dict[str, Any]:
    """What the store calls the weights that a pretraining trial made."""
    return {"artifact": "weights", "trial": trial}


def is_path(weights: str) -> bool:
    """Whether weights are named by their place rather than as "human" or "trial:<id>" are."""
    return "/" in weights or weights.endswith((".pt", ".pth", ".bin", ".safetensors"))


def folder(weights: str, store: Store, model: str) -> Path:
    """Where weights are: a trial's own, a path, or `<home>/<model>/<variant>`.

    Raises ValueError or Unavailable, as `check` does, where nothing is there.
    """
    if weights.startswith(MADE_BY):
        kept = store.find(recipe(weights.removeprefix(MADE_BY)))
        if kept is None:
            raise ValueError(
                f"{model} starts from the weights of {weights}, and that trial has left none here:"
                " it failed or ran in another storage (gauntlet retry runs it again)"
            )
        return kept
    check(weights, model)
    return place(weights, model)


def place(weights: str, model: str) -> Path:
    """Absolute place of weights that no trial made, whether they are there or not.

    Raises ValueError for the name of a variant that leads out of the model's folder, such as "..".
    """
    return absolute(weights) if is_path(weights) else below(home() / model, weights)


def external(weights: str, model: str) -> External | None:
    """Files of weights that no trial makes; None where there are none, or not yet."""
    if weights == "none" or weights.startswith(MADE_BY):
        return None
    return find_path(place(weights, model))


def check(weights: str, model: str) -> None:
    """Raise, in one sentence, for weights that are not there; a trial's are made in their time.

    ValueError for a path, since somebody meant it; Unavailable for a published variant that was
    not fetched: all other models can run, and this one will when it comes.
    """
    if weights.startswith(MADE_BY):
        return
    if is_path(weights):
        if not place(weights, model).exists():
            raise ValueError(
                f"{model}: there are no weights at {place(weights, model)}; correct the path"
            )
    elif not place(weights, model).exists():
        raise Unavailable(
            f"the weights {weights!r} of {model} are not in {home() / model};"
            f" get them with: gauntlet models fetch {model} --variant {weights}"
        )


def identity(weights: str, model: str) -> str:
    """What stands for weights in a trial's id: their content, wherever they lie.

    "none" and "trial:<id>" say it already; "absent" where nothing is there yet.
    """
    if weights == "none" or weights.startswith(MADE_BY):
        return weights
    there = place(weights, model)
    return f"sha256:{fingerprint(there)}" if there.exists() else f"absent:{weights}"


# ---- what is in them --------------------------------------------------------------------------


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pt`, `.pth`, `.bin` or `.safetensors` file, by name, on the CPU.

    Takes them from under "model_state_dict" and the like, and strips the `WRAPPERS` before names. A
    `model.safetensors.index.json` stands for its shards. No code in the file is run. Raises
    ValueError, in one sentence, for a file that is missing, cut short, or holds code or no tensors.
    """
    path = Path(path)
    if path.name.endswith(INDEX):
        return {k: v for shard in shards(path) for k, v in read(shard).items()}
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}; correct the path")
    if problem := placeholder(path):
        raise ValueError(f"{path} {problem}")
    held = read_safetensors(path) if path.suffix == ".safetensors" else read_pickle(path)
    for key in HOLDERS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    tensors = only_tensors(held)
    if not tensors:
        raise ValueError(f"{path} holds no tensors; give the file that holds the model's weights")
    return unwrapped(tensors)


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefixes that a wrapper put before the name of each.

    >>> list(unwrapped({"model._orig_mod.a": 1, "model._orig_mod.b": 2}))
    ['a', 'b']
    """
    for wrapper in WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            return unwrapped({n.removeprefix(wrapper): value for n, value in tensors.items()})
    return dict(tensors)


def shards(index: Path) -> list[Path]:
    """The files that an index of sharded safetensors names, beside it.

    Raises ValueError for an index that cannot be read, or that leads out of its folder.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(damaged(index, error)) from None
    if not names or any(not isinstance(n, str) or Path(n).name != n for n in names):
        raise ValueError(f"{index} must name files that lie beside it; download it again")
    return [index.with_name(name) for name in names]


def read_safetensors(path: Path) -> Any:
    """What a safetensors file holds."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(damaged(path, error)) from None


def read_pickle(path: Path) -> Any:
    """What a file of `torch.save` holds, tensors and plain values only."""
    import torch

    try:
        with torch.serialization.safe_globals(plain_numbers()):
            # a zip, as torch writes since 1.6, is mapped into memory and shared by all workers
            mapped = zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise ValueError(
                f"{path} holds Python code besides tensors and is not opened: it could do anything"
                " when loaded; ask its authors for the state_dict alone, or a safetensors file"
            ) from None
        raise ValueError(damaged(path, error)) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(damaged(path, error)) from None


def plain_numbers() -> list[Any]:
    """What numpy needs for numbers that training scripts keep beside the tensors."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    return [scalar, np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4"))]


def damaged(path: Path, error: Exception) -> str:
    """The sentence for a file that cannot be read."""
    said = str(error).strip().split("\n")[0][:120]
    return f"{path} cannot be read as weights ({said}); download or save it again"


def only_tensors(held: Any) -> dict[str, Tensor]:
    """The tensors of a mapping, by name."""
    import torch

    items = held.items() if isinstance(held, Mapping) else ()
    return {name: value for name, value in items if isinstance(value, torch.Tensor)}


# ---- into a module ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """What became of every key."""

    loaded: tuple[str, ...]
    """The module's keys that now hold the file's values."""
    missing: tuple[str, ...]
    """The module's keys that stay as initialised, all of them allowed to."""
    ignored: tuple[str, ...]
    """The file's keys that nothing took, all of them allowed to be left."""
    renamed: dict[str, str]
    """The file's name to the module's, where they differ."""


def load(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    source: str,
    rename: Callable[[str], str | None] | None = None,
    may_miss: tuple[str, ...] = (),
    may_ignore: tuple[str, ...] = (),
) -> Loaded:
    """Put `state` into `module`, every key accounted for.

    `rename` maps a file's key to the module's, None where it is dropped on purpose; `may_miss` and
    `may_ignore` are patterns, as a shell has them, of the module's keys that may stay as
    initialised and of the file's (renamed) keys that may go unused. Raises ValueError, in one
    sentence that names `source` and the first keys, for any other that is missing, left over or of
    another shape; the module is untouched then.
    """
    names = {key: key if rename is None else rename(key) for key in state}
    given = {new: state[old] for old, new in names.items() if new is not None}
    own = module.state_dict()
    missing = [key for key in own if key not in given]
    extra = [key for key in given if key not in own]
    odd = [key for key in own if key in given and own[key].shape != given[key].shape]
    refuse(source, "lacks", lacking(missing, may_miss))
    refuse(source, "has, and the model has not,", lacking(extra, may_ignore))
    shapes = [f"{k} {tuple(given[k].shape)} instead of {tuple(own[k].shape)}" for k in odd]
    refuse(source, "has in another shape", shapes)
    taken = {key: value for key, value in given.items() if key in own}
    refuse_not_finite(taken, source)
    module.load_state_dict(taken, strict=False)
    dropped = [old for old, new in names.items() if new is None]
    renamed = {old: new for old, new in names.items() if new is not None and new != old}
    return Loaded(tuple(taken), tuple(missing), (*extra, *dropped), renamed)


def refuse_not_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise ValueError, naming the tensor, where weights hold NaN or infinity."""
    import torch

    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise ValueError(
                f"{source} holds NaN or infinity in {bad:,} of {tensor.numel():,} values of {name};"
                " download it again, or take an earlier checkpoint"
            )


def lacking(keys: list[str], allowed: tuple[str, ...]) -> list[str]:
    """The keys that no pattern allows."""
    return [k for k in keys if not any(fnmatch.fnmatchcase(k, pattern) for pattern in allowed)]


def refuse(source: str, what: str, keys: list[str]) -> None:
    """Raise ValueError where there are any keys."""
    if keys:
        shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
        raise ValueError(
            f"{source} {what} {shown}; it was made for another architecture, so give the settings"
            " it was made with, or the right file"
        )
