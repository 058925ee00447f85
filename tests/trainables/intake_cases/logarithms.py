"""Logarithms of scaled counts, of every base and total, of all genes and of some."""

from __future__ import annotations

import numpy as np

from tests.trainables.intake_cases.table import case, cells, counts, logged, variable


@case("lognorm")
def ln_cp10k():
    return cells(logged())


@case("lognorm", "rescaled")
def log2_cp10k():
    return cells(logged(base=2))


@case("lognorm", "rescaled")
def log10_cp10k():
    return cells(logged(base=10))


@case("lognorm", "rescaled")
def log2_that_the_file_states():
    found = cells(logged(base=2))
    found.uns["log1p"] = {"base": 2.0}
    return found


@case("lognorm", "which is taken")
def log2_where_the_file_states_another_base():
    found = cells(logged(base=2))
    found.uns["log1p"] = {"base": 10.0}
    return found


@case("lognorm", "rescaled")
def ln_cpm():
    return cells(logged(1e6))


@case("lognorm", "rescaled")
def log2_cpm():
    return cells(logged(1e6, 2))


@case("lognorm", "rescaled")
def log2_cp100k():
    return cells(logged(1e5, 2))


@case("lognorm", "rescaled")
def ln_of_median_depth():
    return cells(logged("median"))


@case("lognorm", "rescaled")
def log2_of_mean_depth():
    return cells(logged(float(counts().sum(axis=1).mean()), 2))


@case("lognorm", "rescaled", tolerance=2e-3)
def ln_of_proportions():
    return cells(logged(1.0))


@case("lognorm", tolerance=5e-3)
def ln_in_half_precision():
    return cells(logged().toarray().astype(np.float16))


@case("lognorm", tolerance=1e-3)
def ln_rounded_to_three_decimals():
    x = logged()
    x.data = np.round(x.data, 3)
    return cells(x)


@case("lognorm", tolerance=1e-2)
def ln_with_rare_genes_left_out_later():
    often = np.flatnonzero(np.asarray((counts() > 0).sum(axis=0)).ravel() >= 3)
    return cells(logged(), often)


@case("lognorm")
def ln_of_chosen_genes():
    return cells(logged(), variable())


@case("lognorm", "rescaled")
def log2_of_chosen_genes():
    return cells(logged(base=2), variable())


@case("lognorm", "rescaled")
def ln_cpm_of_chosen_genes():
    return cells(logged(1e6), variable())


@case("lognorm", "rescaled")
def ln_of_median_depth_of_chosen_genes():
    return cells(logged("median"), variable())


@case("lognorm", "per 2,500)")
def ln_cp2500_of_chosen_genes():
    """Cells on 10,000 would have whole libraries, too: four times their own."""
    return cells(logged(2500), variable())


@case("lognorm", "per 50)")
def ln_of_a_small_total_of_chosen_genes():
    return cells(logged(50), variable())


@case("lognorm", "per 1)")
def ln_of_proportions_of_chosen_genes():
    return cells(logged(1.0), variable())


@case("lognorm", tolerance=1e-3)
def ln_of_chosen_genes_rounded_to_three_decimals():
    x = logged()
    x.data = np.round(x.data, 3)
    return cells(x, variable())


@case("counts", "never scaled per cell")
def ln_of_counts():
    x = counts()
    return cells(x.log1p())


@case("counts", "never scaled per cell")
def log2_of_counts_of_a_few_genes():
    x = counts().log1p()
    x.data /= np.log(2)
    return cells(x.astype(np.float32))


@case("refused", "logged twice")
def ln_of_ln():
    return cells(logged().log1p())


@case("refused", "logged twice")
def log2_of_log2():
    x = logged(base=2).log1p()
    x.data /= np.log(2)
    return cells(x)
