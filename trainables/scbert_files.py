"""scBERT's weights on disk: a checkpoint in the authors' layout, and the gene list beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.external import External, absolute, find, placeholder
from trainables.genes.panel import LIST, Panel, list_in
from trainables.networks import MADE_BY
from trainables.store import Store, digest

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.networks.performer import ScBERTNetwork

OWN = ("", "none", "coexpression")
"""What names no file."""
ENDINGS = (".pth", ".pt", ".bin", ".safetensors", ".npy")
POSITIONS = "pos_emb.emb.weight"


@dataclass(frozen=True)
class Files:
    """A file of weights or positions, and the genes that its positions are of."""

    file: Path
    panel: Panel

    @classmethod
    def find(cls, named: str, store: Store) -> Files:
        """Those of a name: a file, a folder with one such file, "trial:<id>", or a variant.

        Raises ValueError or Unavailable, in one sentence, where something is missing.
        """
        from trainables.networks import weights

        place = weights.folder(named, store, "scbert")
        if place.is_dir():
            files = [file for file in sorted(place.iterdir()) if file.suffix in ENDINGS]
            if len(files) != 1:
                found = ", ".join(file.name for file in files) or "none"
                raise ValueError(
                    f"{place} must hold one file of weights ({', '.join(ENDINGS)}) and holds"
                    f" {found}; name the file itself"
                )
            place = files[0]
        return cls(place, Panel.read(place.parent))

    def load(self, network: ScBERTNetwork) -> None:
        """Put the weights into the network, every key accounted for; see `weights.load`."""
        from trainables.networks import weights
        from trainables.networks.performer import official

        weights.load(network, weights.read(self.file), source=str(self.file), rename=official)

    def positions(self) -> Tensor:
        """Genes x dim: a `.npy` as it is, or the positions that weights hold.

        Raises ValueError for a file that holds no such array.
        """
        import torch

        from trainables.networks import weights

        if self.file.suffix != ".npy":
            state = weights.read(self.file)
            if POSITIONS not in state:
                raise ValueError(
                    f"{self.file} has no positions ({POSITIONS}): it was pretrained without"
                    " gene2vec; name another file, or set gene2vec=False"
                )
            return state[POSITIONS][:-1]
        if problem := placeholder(self.file):
            raise ValueError(f"{self.file} {problem}")
        try:
            found = np.load(self.file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{self.file} cannot be read as an array ({error})") from None
        if found.ndim != 2 or not np.issubdtype(found.dtype, np.floating):
            raise ValueError(f"{self.file} must hold genes x dimensions as real numbers")
        if not np.isfinite(found).all():
            raise ValueError(f"{self.file} holds NaN or infinity; download it again")
        return torch.from_numpy(found)


def identity(named: str) -> str:
    """What stands for a name in a trial's id: the content of the file and of its gene list."""
    from trainables.networks import weights

    if named in OWN:
        return named
    said = weights.identity(named, "scbert")
    if named.startswith(MADE_BY) or not weights.is_path(named) or not absolute(named).is_file():
        return said
    place = absolute(named)
    try:
        genes = weights.fingerprint(list_in(place.parent))
    except ValueError:  # said where the list is needed
        return said
    return f"sha256:{digest([said, genes])}"


def external(named: str) -> External | None:
    """Files of a name, the gene list among them; None where a name needs none, or lacks one."""
    from trainables.networks import weights

    if named in OWN or named.startswith(MADE_BY):
        return None
    place = weights.place(named, "scbert")
    if not place.is_file():
        return find(place)
    try:
        genes = list_in(place.parent)
    except ValueError:  # `Files.find` says so
        return None
    return find(place.parent, [place.name, genes.name], place.name)


def fates(folder: Path) -> list[dict[str, str]]:
    """What becomes of each key of a folder's checkpoint; ValueError where one fits nowhere."""
    from trainables.networks import weights
    from trainables.networks.performer import ScBERTNetwork, Size, official

    files = Files.find(str(absolute(folder)), Store(folder))
    if files.file.suffix == ".npy":
        return [positions_row(files)]
    state = weights.read(files.file)
    layer = "performer.net.layers.{}.0.fn"
    try:
        dim = state["token_emb.weight"].shape[1]
        features = state[f"{layer.format(0)}.fast_attention.projection_matrix"]
        inner = state[f"{layer.format(0)}.to_q.weight"].shape[0]
        hidden = state["performer.net.layers.0.1.fn.fn.w1.weight"].shape[0]
    except KeyError as key:
        raise ValueError(f"{files.file} lacks {key}; is it a checkpoint of scBERT?") from None
    size = Size(
        genes=len(files.panel.genes),
        dim=dim,
        depth=sum(f"{layer.format(i)}.to_q.weight" in state for i in range(len(state))),
        heads=inner // features.shape[1],
        dim_head=features.shape[1],
        ff_mult=hidden // dim,
        gene2vec=POSITIONS in state,
    )
    network, source = ScBERTNetwork(size), str(files.file)
    dropped = set(weights.load(network, state, source=source, rename=official).ignored)
    return [
        {
            "key": key,
            "shape": str(tuple(value.shape)),
            "fate": "a copy, not used" if key in dropped else "loaded",
        }
        for key, value in state.items()
    ]


def positions_row(files: Files) -> dict[str, str]:
    """The one row of a file of positions. Raises ValueError where it is not of the list's genes."""
    shape, genes = tuple(files.positions().shape), len(files.panel.genes)
    if shape[0] != genes:
        raise ValueError(
            f"{files.file} has positions of {shape[0]:,} genes, and {files.panel.source} names"
            f" {genes:,}; get both from the same place"
        )
    return {"key": "positions", "shape": str(shape), "fate": "loaded"}


def keep(network: Any, panel: Panel, epochs: int, folder: Path) -> Path:
    """Write a checkpoint in the authors' layout, and its gene list; the folder."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
    torch.save({"epoch": epochs, "model_state_dict": state}, folder / "scbert_pretrained.pth")
    panel.write(folder)
    return folder


__all__ = ["LIST", "OWN", "Files", "external", "fates", "identity", "keep"]
