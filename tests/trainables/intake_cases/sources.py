"""Where counts are: in X, in .raw, in a layer, or in several that differ."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from tests.trainables.intake_cases.table import (
    case,
    cells,
    counts,
    logged,
    variable,
    with_antibodies,
    with_layer,
    with_raw,
    zscores,
)


@case("counts")
def scaled_with_layer():
    return with_layer("counts", counts())


@case("counts")
def layer_of_another_case():
    return with_layer("Raw_Counts", counts())


@case("counts")
def layer_of_x_counts():
    return with_layer("X_counts", counts(), logged())


@case("counts")
def layer_of_unknown_name_that_fits_x():
    return with_layer("mystery", counts(), logged(1e6, 2))


@case("counts")
def layer_of_spliced_that_fits_x():
    return with_layer("spliced", counts(), logged())


@case("lognorm", "--counts-layer unspliced")
def layer_of_whole_numbers_that_do_not_fit_x():
    other = counts()
    other.data = np.random.default_rng(0).poisson(1, other.nnz).astype(np.float32) + 1
    return with_layer("unspliced", other, logged())


@case("counts", "", counts_layer="unspliced")
def layer_that_the_user_names():
    return with_layer("unspliced", counts(), zscores())


@case("refused", "there are: counts, X", counts_layer="umi_raw")
def layer_that_is_not_there():
    return with_layer("counts", counts())


@case("counts")
def scaled_with_raw():
    return with_raw(cells())


@case("counts")
def raw_in_another_order():
    return with_raw(cells()[:, ::-1].copy())


@case("counts")
def raw_of_more_genes_beside_scaled():
    return with_raw(cells(), genes=variable())


@case("counts")
def raw_of_more_genes_beside_logs():
    return with_raw(cells(), logged(), variable())


@case("counts", "totals are")
def raw_of_more_genes_beside_counts():
    return with_raw(cells(), counts(), variable())


@case("counts", "features that are no genes")
def raw_with_antibodies():
    return with_raw(with_antibodies(), genes=variable())


@case("counts")
def no_x_at_all():
    found = with_layer("counts", counts())
    found.X = None
    return found


@case("counts", "layers['counts'] is not used")
def broken_layer_beside_counts():
    return with_layer("counts", zscores(), counts())


@case("counts")
def broken_x_beside_layer():
    x = logged().toarray()
    x[3, 4] = np.nan
    return with_layer("counts", counts(), x)


@case("counts", "totals are")
def decontaminated_x_beside_uncorrected_raw():
    x = counts()
    x.data = np.maximum(x.data - (np.random.default_rng(0).random(x.nnz) < 0.15), 0)
    return with_raw(cells(), x)


@case("refused", "--counts-layer")
def two_layers_of_other_cells_each():
    one, other = counts().toarray(), counts().toarray()
    one[::2] = np.floor(one[::2] / 2)
    other[1::2] = np.floor(other[1::2] / 2)
    found = with_layer("counts", one)
    found.layers["raw_counts"] = other
    return found


@case("counts", "chosen genes only")
def counts_of_chosen_genes_beside_logs_of_all():
    return with_layer("counts", counts(), logged())[:, variable()].copy()


@case("counts", "chosen genes only")
def counts_of_chosen_genes_beside_log2_cpm_of_all():
    return with_layer("counts", counts(), logged(1e6, 2))[:, variable()].copy()


@case("counts", "chosen genes only")
def counts_of_chosen_genes_beside_median_logs_of_all():
    return with_layer("counts", counts(), logged("median"))[:, variable()].copy()


@case("lognorm")
def scaled_raw_beside_logs():
    return with_raw(cells(zscores()), logged())


@case("lognorm")
def logged_raw_beside_scaled_chosen_genes():
    return with_raw(cells(logged()), genes=variable())


@case("lognorm", "rescaled")
def log2_raw_beside_scaled_chosen_genes():
    return with_raw(cells(logged("median", 2)), genes=variable())


@case("lognorm")
def logged_layer_beside_scaled():
    return with_layer("logcounts", logged())


@case("counts")
def layer_of_a_compound_name():
    return with_layer("RNA_counts", counts())


@case("refused", "layers['decontXcounts'] may hold raw counts")
def layer_of_corrected_counts_beside_scaled():
    return with_layer("decontXcounts", counts())


@case("counts", counts_layer="decontXcounts")
def layer_of_corrected_counts_that_the_user_names():
    return with_layer("decontXcounts", counts())


@case("counts")
def raw_by_ids_that_var_has_beside_its_symbols():
    raw = cells()
    raw.var_names = [f"ENSG{i:011d}" for i in range(raw.n_vars)]
    found = with_raw(raw)
    found.var["gene_ids"] = raw.var_names.to_numpy()
    return found


@case("refused", "layers['counts'] has no counts of 120 cells")
def layer_without_the_counts_of_a_batch():
    layer = counts().toarray()
    layer[cells().obs["batch"].eq("batch 1").to_numpy()] = 0
    return with_layer("counts", csr_matrix(layer), logged())


@case("corrected", "no logarithm of the counts")
def layer_whose_cells_are_in_another_order():
    order = np.random.default_rng(0).permutation(cells().n_obs)
    return with_layer("counts", counts()[order], logged())


@case("refused", "genes of 2 genomes")
def raw_of_two_genomes():
    raw = cells()
    raw.var_names = [f"{'hg19' if i % 2 else 'mm10'}_{n}" for i, n in enumerate(raw.var_names)]
    return with_raw(raw)
