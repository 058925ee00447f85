"""The page carries the card, and nothing from elsewhere."""

import re
from pathlib import Path
from xml.etree import ElementTree

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from analysis.data_card import data_card, facts
from analysis.figures.cells import MOST, gathered
from trainables.cells import open_cells, prepare
from trainables.inspection import inspect
from trainables.store import Store
from trainables.userdata import UserFile


def card_of(cells: ad.AnnData, folder: Path, *keys: str) -> dict:
    """The data card of cells that lie in a file."""
    cells.write_h5ad(folder / "made.h5ad")
    mine = UserFile(folder / "made.h5ad", *keys)
    return inspect(open_cells(prepare(mine, Store(folder / "store"))), "made")


@pytest.fixture
def card(tmp_path: Path) -> dict:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "kind": [f"<type & {i % 3}>" for i in range(30)],
            "run": [f"run {i % 2}" for i in range(30)],
        },
        index=[str(i) for i in range(30)],
    )
    values = rng.poisson(3, (30, 20)).astype("float32")
    values[5] = values[4]
    return card_of(ad.AnnData(X=values, obs=obs), tmp_path, "kind", "run")


def test_the_page_is_whole_and_fetches_nothing(card: dict, tmp_path: Path):
    text = data_card(card, tmp_path / "card.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!#)""", text)
    assert "url(http" not in text
    for drawn in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        ElementTree.fromstring(drawn)
    assert text.count("<svg") == 4


def test_names_of_the_data_cannot_break_the_page(card: dict, tmp_path: Path):
    text = data_card(card, tmp_path / "card.html").read_text()
    assert "<type" not in text
    assert "&lt;type" in text


def test_what_is_wrong_comes_first(card: dict, tmp_path: Path):
    text = data_card(card, tmp_path / "card.html", mismatches=["it has 30 cells"]).read_text()
    assert text.index("it has 30 cells") < text.index(card["warnings"][0][:20])


def test_the_same_card_gives_the_same_page(card: dict, tmp_path: Path):
    one, two = (data_card(card, tmp_path / name).read_bytes() for name in ("1.html", "2.html"))
    assert one == two


def test_every_fact_is_text(card: dict):
    assert all(isinstance(value, str) and value for value in facts(card).values())
    assert facts(card)["exact duplicates"] == "1 cells"


def test_a_card_without_batches_still_makes_a_page(tmp_path: Path):
    obs = pd.DataFrame({"cell_type": list("aabbb")}, index=list("12345"))
    bare = card_of(ad.AnnData(X=np.ones((5, 4), dtype="float32"), obs=obs), tmp_path)
    assert data_card(bare, tmp_path / "card.html").read_text().count("<svg") == 2


def test_many_classes_are_gathered():
    sizes = {f"type {i}": 100 - i for i in range(MOST + 5)}
    shown = gathered(sizes)
    assert len(shown) == MOST + 1
    assert sum(shown.values()) == sum(sizes.values())
