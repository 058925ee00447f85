"""Genes go by symbols, with ids beside them, whatever a file leads with."""

import pandas as pd
import pytest

from trainables.intake.genes import name_genes as named

SYMBOL_COLUMNS = (
    "gene_name", "feature_name", "gene_symbol", "gene_symbols", "symbol", "gene_short_name", "Gene",
    "Symbol", "hgnc_symbol", "gene_names", "features", "gene_symbols-0", "SYMBOL",
    "external_gene_name",
)  # fmt: skip
ID_COLUMNS = ("ensembl_id", "gene_ids", "gene_id", "feature_id", "ensembl", "Accession", "my ids")

IDS = ["ENSG00000000003.15", "ENSG00000000005.6", "ENSG00000000419"]
BARE = ["ENSG00000000003", "ENSG00000000005", "ENSG00000000419"]
SYMBOLS = ["TSPAN6", "TNMD", "DPM1"]


@pytest.mark.parametrize("column", SYMBOL_COLUMNS)
def test_ids_give_way_to_symbols(column):
    genes = named(pd.DataFrame({column: SYMBOLS}, index=IDS))
    assert genes.names.tolist() == SYMBOLS
    assert genes.ids.tolist() == BARE


@pytest.mark.parametrize("column", ID_COLUMNS)
def test_symbols_keep_ids_beside_them(column):
    genes = named(pd.DataFrame({column: IDS}, index=SYMBOLS))
    assert genes.names.tolist() == SYMBOLS
    assert genes.ids.tolist() == BARE


def test_a_symbol_of_several_ids_names_none_of_them():
    genes = named(pd.DataFrame({"gene_name": ["TBCE", "TNMD", "TBCE"]}, index=IDS))
    assert genes.names.tolist() == [IDS[0], "TNMD", IDS[2]]
    assert genes.notes == (
        "1 gene symbols (such as TBCE) stand for several Ensembl ids each;"
        " these 2 genes go by their ids",
    )


def test_repeated_symbols_with_ids_are_told_apart_by_these():
    genes = named(pd.DataFrame({"gene_ids": IDS}, index=["TBCE", "TNMD", "TBCE"]))
    assert genes.names.tolist() == [IDS[0], "TNMD", IDS[2]]


def test_a_missing_symbol_leaves_the_id():
    genes = named(pd.DataFrame({"feature_name": ["TSPAN6", None, "DPM1"]}, index=IDS))
    assert genes.names.tolist() == ["TSPAN6", IDS[1], "DPM1"]


def test_ids_without_symbols_stay_and_are_noted():
    genes = named(pd.DataFrame(index=IDS))
    assert genes.names.tolist() == IDS
    assert genes.ids.tolist() == BARE
    assert "no column of symbols" in genes.notes[0]


def test_plain_names_stay_as_they_are():
    genes = named(pd.DataFrame({"gene_ids": SYMBOLS}, index=["A", "A", "B"]))
    assert genes.names.tolist() == ["A", "A", "B"]
    assert genes.ids is None


def test_mouse_ids_are_ids():
    genes = named(pd.DataFrame({"symbol": ["Gnai3"]}, index=["ENSMUSG00000000001"]))
    assert genes.names.tolist() == ["Gnai3"]


def test_a_symbol_among_ids_keeps_what_follows_its_dot():
    mixed = [*IDS[:2], "RP11-206L10.2", "ENSG00000182378.15_PAR_Y"]
    genes = named(pd.DataFrame(index=mixed))
    assert genes.names.tolist() == mixed
    assert genes.ids.tolist() == [*BARE[:2], "RP11-206L10.2", "ENSG00000182378"]
