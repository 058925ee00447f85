"""Matrices whose values, shapes or gene names are no expression of cells."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np

from tests.trainables.broken_inputs.table import broken, edited, saved, some_cells


def with_value(value: float) -> Any:
    """Log-like cells of which one value is this."""
    x = np.log1p(some_cells().X)
    x[3, 2] = value
    return some_cells(x)


def whole(value: float) -> np.ndarray:
    """Counts of which one is this."""
    x = some_cells().X.astype(np.float64)
    x[0, 0] = value
    return x


@broken("it has no X")
def x_is_none(folder):
    cells = some_cells()
    return saved(folder, ad.AnnData(obs=cells.obs, var=cells.var))


@broken("0 cells x 6 genes")
def no_cells(folder):
    return saved(folder, some_cells()[:0].copy())


@broken("30 cells x 0 genes")
def no_genes(folder):
    return saved(folder, some_cells()[:, :0].copy())


@broken("nothing but zeros")
def all_zeros(folder):
    return saved(folder, some_cells(np.zeros((30, 6), dtype=np.float32)))


@broken("1 NaN or infinite values")
def nan(folder):
    return saved(folder, with_value(np.nan))


@broken("1 NaN or infinite values")
def infinite(folder):
    return saved(folder, with_value(np.inf))


@broken("negative values (down to -1)")
def negative(folder):
    return saved(folder, with_value(-1))


@broken("scaled or centred")
def scaled(folder):
    x = some_cells().X
    return saved(folder, some_cells((x - x.mean(axis=0)) / x.std(axis=0)))


@broken("neither integer counts nor logged values")
def scaled_but_never_logged(folder):
    return saved(folder, some_cells(some_cells().X * 1234.5))


@broken("neither integer counts nor logged values")
def huge_values(folder):
    return saved(folder, some_cells(some_cells().X.astype(np.float64) * 1e299 + 0.5))


@broken("counts up to 1e+12")
def huge_counts(folder):
    return saved(folder, some_cells(whole(1e12)))


@broken("holds complex128 values")
def complex_values(folder):
    return saved(folder, some_cells(some_cells().X.astype(np.complex128)))


@broken("holds text")
def text_values(folder):
    def swap(file):
        del file["X"]
        file["X"] = np.full((30, 6), b"many")
        file["X"].attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})

    return edited(folder, swap)


@broken("holds bool values")
def boolean_values(folder):
    return saved(folder, some_cells(some_cells().X > 1))


@broken("layers['counts'] holds values that are not integers")
def counts_with_fractions(folder):
    cells = some_cells()
    cells.layers["counts"] = np.log1p(cells.X)
    return saved(folder, cells)


@broken("layers['counts'] holds negative values")
def counts_below_zero(folder):
    cells = some_cells()
    cells.layers["counts"] = cells.X - 5
    return saved(folder, cells)


@broken("layers['counts'] holds nothing but zeros")
def counts_of_nothing(folder):
    cells = some_cells()
    cells.layers["counts"] = np.zeros((30, 6), dtype=np.float32)
    return saved(folder, cells)


@broken("adata.raw.to_adata()")
def scaled_with_a_raw_of_other_genes(folder):
    cells = some_cells()
    cells.raw = cells
    cells = cells[:, :4].copy()
    cells.X = cells.X - 1.5
    return saved(folder, cells)


@broken("library_size")
def library_smaller_than_its_counts(folder):
    return saved(folder, some_cells(library_size=np.log1p(np.arange(30.0))))


@broken("1 gene names occur more than once (such as GENE1)")
def duplicated_genes(folder):
    cells = some_cells()
    cells.var_names = [f"GENE{i}" for i in (0, 1, 1, 2, 3, 4)]
    return saved(folder, cells)
