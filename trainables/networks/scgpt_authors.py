"""The authors' own network, from their package, under the interface of ours."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from trainables.networks.scgpt import Architecture, check_batch

PACKAGE = "scgpt"


def root() -> Path | None:
    """The folder of the installed package, None where it is not; nothing is imported for it."""
    try:
        place = distribution(PACKAGE).locate_file(PACKAGE)
    except PackageNotFoundError:
        return None
    return Path(str(place))


def installed() -> bool:
    """Whether the package is here."""
    return root() is not None


def authors_network(shape: Architecture) -> Any:
    """`scgpt.model.TransformerModel` of that shape, called as our `ScGPTNetwork` is.

    It runs on `torch.nn.TransformerEncoder`, since 0.2.4 knows no flash-attn but 1.x. Raises
    LookupError, with the way to it, where the package is not installed.
    """
    if not installed():
        raise LookupError(
            "scgpt is not installed: uv sync --extra scgpt, or pip install --no-deps scgpt==0.2.4"
        )
    Theirs: Any = submodule("model.model").TransformerModel

    class Authors(Theirs):
        def forward(
            self,
            ids: Tensor,
            values: Tensor,
            padding: Tensor | None = None,
            batch: Tensor | None = None,
            want: tuple[str, ...] = ("cell_emb",),
        ) -> dict[str, Tensor]:
            """See `ScGPTNetwork.forward`; everything is computed, whatever is wanted."""
            check_batch(shape, batch)
            padding = ids.eq(shape.pad) if padding is None else padding
            said = super().forward(
                ids, values, padding, batch, CLS="cls_output" in want, MVC="mvc_output" in want
            )
            return {name: said[name] for name in said if name.split("_")[0] in prefixes(want)}

    with quiet():
        built = Authors(
            ntoken=shape.tokens,
            d_model=shape.width,
            nhead=shape.heads,
            d_hid=shape.hidden,
            nlayers=shape.layers,
            nlayers_cls=shape.class_layers,
            n_cls=shape.classes,
            vocab={"<pad>": shape.pad},
            dropout=shape.dropout,
            pad_value=-2,
            do_mvc=shape.mvc,
            do_dab=shape.batches > 0,
            use_batch_labels=shape.batches > 0,
            num_batch_labels=shape.batches or None,
            domain_spec_batchnorm=shape.batches > 0,
            explicit_zero_prob=shape.batches > 0,
        )
    built.shape = shape
    return built


def prefixes(want: tuple[str, ...]) -> set[str]:
    """The outputs' families: "mlm" has its value and the probability of its being zero."""
    return {name.split("_")[0] for name in ("cell_emb", *want)}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings on a missing flash-attn and the words on standard output."""
    import contextlib
    import io

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def submodule(name: str) -> ModuleType:
    """A module of `scgpt`, without running `scgpt/__init__.py`.

    That one wants torchtext, which no present torch can load, IPython and datasets; the modules
    themselves do not. Bare packages stand in while it is imported, and are gone afterwards.
    """
    place = root()
    assert place is not None
    before = {k: v for k, v in sys.modules.items() if k.split(".")[0] == PACKAGE}
    for key in before:
        del sys.modules[key]
    try:
        for package in (PACKAGE, *(f"{PACKAGE}.{part}" for part in name.split(".")[:-1])):
            bare: Any = ModuleType(package)
            bare.__path__ = [str(place.joinpath(*package.split(".")[1:]))]
            sys.modules[package] = bare
        with quiet():
            return importlib.import_module(f"{PACKAGE}.{name}")
    finally:
        for key in [k for k in sys.modules if k.split(".")[0] == PACKAGE]:
            del sys.modules[key]
        sys.modules.update(before)
