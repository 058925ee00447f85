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


@broken("scaled, centred or batch-corrected")
def scaled(folder):
    x = some_cells().X
    return saved(folder, some_cells((x - x.mean(axis=0)) / x.std(axis=0)))


@broken("scaled counts that were never logged")
def scaled_but_never_logged(folder):
    return saved(folder, some_cells(some_cells().X * 1234.3))


@broken("scaled counts that were never logged")
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


def with_layer(counts: Any) -> Any:
    """Scaled cells whose counts lie in the usual layer."""
    cells = some_cells(some_cells().X - 1.5)
    cells.layers["counts"] = counts
    return cells


@broken("layers['counts'] holds neither counts nor logarithms")
def counts_with_fractions(folder):
    return saved(folder, with_layer(np.sqrt(some_cells().X)))


@broken("X holds negative values")
def counts_below_zero(folder):
    return saved(folder, with_layer(some_cells().X - 5))


@broken("X holds negative values")
def counts_of_nothing(folder):
    return saved(folder, with_layer(np.zeros((30, 6), dtype=np.float32)))


@broken("or name their layer with --counts-layer")
def scaled_with_a_scaled_raw(folder):
    cells = some_cells(some_cells().X - 1.5)
    cells.raw = cells
    return saved(folder, cells[:, :4].copy())


@broken("1 gene names occur more than once (such as GENE1)")
def duplicated_genes(folder):
    cells = some_cells()
    cells.var_names = [f"GENE{i}" for i in (0, 1, 1, 2, 3, 4)]
    return saved(folder, cells)
