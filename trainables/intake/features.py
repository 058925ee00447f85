"""Features of a matrix that are genes: antibodies, peaks and columns about cells are not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trainables.intake.gene_words import NOT_GENES, OTHER_FEATURES, RNA_FEATURES, TABLE_COLUMNS
from trainables.intake.texts import is_text, matching, texts, unquoted


def only_genes(var: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Mask of the rows of `var` that are genes, and notes on those that are not."""
    kept = np.ones(len(var), dtype=bool)
    notes = []
    for column in var.columns:
        if not is_text(var[column]):
            continue
        kinds = texts(var[column])
        lowered = np.char.lower(kinds.astype(str))
        rna = np.isin(lowered, list(RNA_FEATURES))
        known = rna | np.isin(lowered, list(OTHER_FEATURES))
        if known.mean() < 0.9 or (known & ~rna).sum() == 0:
            continue
        others = ", ".join(sorted(set(kinds[~rna & kept]) - {""}))
        if (~rna & kept).any():
            notes.append(
                f"{(~rna & kept).sum():,} features that are no genes are left out"
                f" (var[{column!r}]: {others})"
            )
        kept &= rna
    names = unquoted(texts(pd.Series(var.index)))
    for what, pattern in NOT_GENES.items():
        found = kept & matching(names, pattern)
        if found.any():
            notes.append(
                f"{found.sum():,} features that are no genes are left out ({what}, such as"
                f" {names[found][0]})"
            )
            kept &= ~found
    lowered = np.char.lower(names.astype(str))
    snake = matching(names, SNAKE)
    if np.mean(lowered == names) > 0.1:  # an organism whose genes are written so
        snake[:] = False
    found = np.isin(lowered, list(TABLE_COLUMNS)) | matching(names, CELL_COLUMN) | snake
    found &= kept
    if found.any() and not found[kept].all():
        listed = ", ".join(names[found][:5])
        notes.append(f"{found.sum():,} columns that describe cells are no genes ({listed})")
        kept &= ~found
    return kept, notes


CELL_COLUMN = (
    r"(?i)^((pct|percent|log1p|total|n|max|min|mean|num|nb)[._ ](counts?|genes?|umis?|mt|mito|ribo"
    r"|hb|feature|features|cells?)([._ ].*)?|.*(leiden|louvain|seurat_clusters|snn_res|celltype|"
    r"cell[_. ]type).*|(.*[._ ])?clusters?([._ ].*)?|(cell|cluster|batch|sample|donor)[_. ]id|"
    r"(x_)?(umap|tsne)[._ ]?\d{1,3}|(x_)?(pc|pca|harmony)[._ ]\d{1,3}|n(count|feature)_\w+|"
    r"(s|g2m)[._]score|(total|n)_?(counts?|genes?|umis?)(_\w+)?)$"
)
"""Names of columns that describe cells; PC as in the gene PC is no match without a number."""
SNAKE = r"^([a-z][a-z0-9]*([_.][a-z0-9]+)+|[a-z]{3,})$"
"""Names of columns in lower case, such as "my_label"; no gene of man or mouse is written so."""
