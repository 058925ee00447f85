"""Refusals of genes that models cannot take: names that repeat, two species, hidden antibodies."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trainables.intake.gene_words import LANDMARKS, PROTEINS
from trainables.intake.genes import Genes
from trainables.intake.texts import matches, texts

MIXED = 0.05
"""Share of the genes above which a second species is a mixture, and no virus or marker."""


def check_genes(genes: Genes, var: pd.DataFrame, name: str) -> None:
    """Raise ValueError for matrices whose genes cannot be taken.

    Such are matrices without genes, names that occur twice or are empty, genes of two species, and
    antibodies that nothing but their names tells from genes.
    """
    if not genes.kept.any():
        raise ValueError(f"{name}: none of its {len(var):,} features is a gene")
    names = pd.Index(genes.names)
    if (empty := int((names == "").sum())) > 1:
        raise ValueError(
            f"{name}: {empty:,} genes have no name; fill adata.var_names, or drop them"
        )
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        raise ValueError(
            f"{name}: {len(twice)} gene names occur more than once (such as"
            f" {', '.join(map(str, twice[:3]))}); make them unique with"
            " adata.var_names_make_unique() or sum their columns"
        )
    if mixture := species_mixture(genes, var):
        raise ValueError(
            f"{name} holds genes of {mixture}; keep the cells and genes of one, as"
            " adata[cells_of_one, genes_of_one].write_h5ad('one.h5ad') does"
        )
    if len(proteins := hidden_antibodies(genes.names)) >= 3:
        raise ValueError(
            f"{name}: features such as {', '.join(proteins[:3])} are antibodies and no genes, but"
            " nothing marks them; write 'Antibody Capture' or 'Gene Expression' for each feature"
            " into var['feature_types'], or remove the antibodies"
        )


def species_mixture(genes: Genes, var: pd.DataFrame) -> str:
    """Two species or genomes of the genes in words, or an empty text."""
    ids = genes.ids if genes.ids is not None else genes.names
    human, mouse = matches(ids, r"^ENSG\d"), matches(ids, r"^ENSMUSG\d")
    if min(human, mouse) > MIXED:
        return "man (ENSG...) and mouse (ENSMUSG...)"
    names = set(map(str, genes.names))
    as_in_mice = {name.capitalize() for name in LANDMARKS}
    if min(len(names & LANDMARKS), len(names & as_in_mice)) >= 3:
        share = matches(genes.names, r"^[A-Z][a-z]+\d*")
        if MIXED < share < 1 - MIXED:
            first, second = min(names & LANDMARKS), min(names & as_in_mice)
            return f"man (such as {first}) and mouse (such as {second})"
    genomes = [column for column in var.columns if str(column).lower() == "genome"]
    for column in genomes:
        filled = texts(var[column][genes.kept])
        shares = pd.Series(filled[filled != ""], dtype=object).value_counts(normalize=True)
        if (shares > MIXED).sum() > 1:
            both = ", ".join(sorted(shares.index[shares > MIXED]))
            return f"several genomes ({both} in var[{column!r}])"
    return ""


def hidden_antibodies(names: np.ndarray) -> list[str]:
    """Names of proteins that are no symbols; scanpy adds "-1" to a name that is there twice."""
    return [str(name) for name in names if str(name).removesuffix("-1") in PROTEINS]
