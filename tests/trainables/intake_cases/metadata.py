"""What a gene is, and which labels, batches and cells are there."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from tests.trainables.intake_cases.table import case, cells, counts, made


def ids() -> np.ndarray:
    """Ensembl ids of the made genes."""
    return np.array([f"ENSG{90000000000 + i:011d}" for i in range(made().n_vars)], dtype=object)


def under_ids(**columns: Any) -> Any:
    """Genes whose index holds ids, with columns of var."""
    found = cells()
    found.var = pd.DataFrame(columns, index=pd.Index(ids()))
    return found


def symbols() -> np.ndarray:
    return made().var_names.to_numpy()


def with_features(names: list[str], matrix: Any = None, kinds: str | None = None) -> Any:
    """The made cells with more features after their genes."""
    rng = np.random.default_rng(0)
    more = rng.poisson(200, (made().n_obs, len(names))) if matrix is None else matrix
    both = sparse.csr_matrix(sparse.hstack([counts(), sparse.csr_matrix(more, dtype=np.float32)]))
    var = pd.DataFrame(index=[*made().var_names, *names])
    if kinds is not None:
        var["feature_types"] = ["Gene Expression"] * made().n_vars + [kinds] * len(names)
    return ad.AnnData(both, obs=made().obs.copy(), var=var)


# ---- symbols -----------------------------------------------------------------------------------


@case("counts")
def symbols_of_cellxgene():
    found = under_ids(feature_name=pd.Categorical(symbols()), feature_is_filtered=False)
    found.var["feature_biotype"] = "gene"
    return found


@case("counts")
def symbols_in_a_column_of_no_usual_name():
    return under_ids(mygenes=symbols(), chromosome="chr1", description="a gene of some kind")


@case("counts")
def symbols_of_the_census():
    found = cells()
    found.var = pd.DataFrame(
        {"soma_joinid": np.arange(made().n_vars), "feature_id": ids(), "feature_name": symbols()},
        index=[str(i) for i in range(made().n_vars)],
    )
    return found


@case("counts")
def symbols_of_seurat_disk():
    found = cells()
    found.var = pd.DataFrame({"features": symbols()}, index=[str(i) for i in range(made().n_vars)])
    return found


@case("counts")
def symbols_beside_versioned_ids():
    found = under_ids(gene_name=symbols())
    found.var_names = [f"{name}.{i % 15 + 1}" for i, name in enumerate(ids())]
    return found


@case("counts")
def symbols_beside_entrez_numbers():
    found = cells()
    found.var = pd.DataFrame({"Symbol": symbols()}, index=[str(7 * i + 9) for i in range(1500)])
    return found


@case("counts")
def names_of_id_and_symbol():
    found = cells()
    found.var_names = [f"{i}|{s}" for i, s in zip(ids(), symbols(), strict=True)]
    return found


@case("counts")
def names_of_symbol_and_id():
    found = cells()
    found.var_names = [f"{s}_{i}" for i, s in zip(ids(), symbols(), strict=True)]
    return found


@case("counts")
def names_with_the_genome():
    found = cells()
    found.var_names = [f"GRCh38_{s}" for s in symbols()]
    return found


@case("counts")
def names_with_the_genome_and_blanks():
    found = cells()
    found.var_names = [f"GRCh38______{s}" for s in symbols()]
    return found


@case("counts")
def names_of_symbol_and_id_in_brackets():
    found = cells()
    found.var_names = [f"{s} ({i})" for i, s in zip(ids(), symbols(), strict=True)]
    return found


@case("refused", "genes of 2 genomes (GRCh38, mm10)")
def names_of_two_genomes():
    found = cells()
    genomes = ["GRCh38_", "mm10___"]
    found.var_names = [genomes[i % 2] + name for i, name in enumerate(symbols())]
    return found


@case("ids", "not human")
def symbols_of_fish():
    found = cells()
    found.var_names = [name.lower() for name in symbols()]
    return found


@case("ids", "go by their Ensembl ids")
def ids_alone():
    return under_ids()


@case("ids", "go by numbers")
def entrez_numbers_alone():
    found = cells()
    found.var_names = [str(7 * i + 9) for i in range(made().n_vars)]
    return found


@case("ids", "of a mouse")
def symbols_of_mice():
    found = cells()
    found.var_names = [name.capitalize() for name in symbols()]
    return found


@case("ids", "of a mouse")
def ids_of_mice():
    found = cells()
    found.var_names = [name.replace("ENSG", "ENSMUSG") for name in ids()]
    return found


@case("ids", "not human")
def ids_of_flies():
    found = cells()
    found.var_names = [f"FBgn{i:07d}" for i in range(made().n_vars)]
    return found


@case("refused", "occur more than once")
def names_that_occur_twice():
    found = cells()
    found.var_names = [symbols()[0], *symbols()[:-1]]
    return found


# ---- features that are no genes ----------------------------------------------------------------


@case("counts", "30 features that are no genes")
def antibodies_by_type():
    return with_features([f"CD{i}_TotalSeqB" for i in range(30)], kinds="Antibody Capture")


@case("counts", "no genes are left out (antibodies")
def antibodies_by_name():
    return with_features([f"CD{i}_TotalSeqB" for i in range(30)])


@case("counts", "no genes are left out (hashtags")
def hashtags_by_name():
    return with_features([f"HTO_{i}" for i in range(6)])


@case("counts", "features that are no genes")
def guides_by_type():
    return with_features([f"guide-{i}" for i in range(9)], kinds="CRISPR Guide Capture")


@case("counts", "features that are no genes")
def peaks_by_type():
    return with_features([f"chr1:{i}-{i + 500}" for i in range(99)], kinds="Peaks")


@case("counts", "spike-ins")
def spike_ins_by_name():
    return with_features([f"ERCC-{i:05d}" for i in range(2, 60)])


@case("refused", "has no genes")
def antibodies_only():
    found = with_features([f"CD{i}_TotalSeqB" for i in range(30)], kinds="Antibody Capture")
    return found[:, made().n_vars :].copy()


@case("counts", "that describe cells are no genes")
def columns_of_a_table():
    number = pd.Categorical(made().obs["cell_type"]).codes
    about = np.column_stack([number, np.arange(240), np.full(240, 5), number])
    return with_features(["seurat_clusters", "n_counts", "percent.mt", "my_label"], about)


# ---- labels and batches ------------------------------------------------------------------------


@case("counts", "50 cells without a label")
def labels_missing_in_words():
    found = cells()
    types = found.obs["cell_type"].to_numpy(dtype=object)
    for i, word in enumerate(["nan", "NA", "None", "", " "]):
        types[i * 10 : (i + 1) * 10] = word
    found.obs["cell_type"] = pd.Categorical(types)
    return found


@case("counts", "blanks around labels")
def labels_with_blanks():
    found = cells()
    types = found.obs["cell_type"].to_numpy(dtype=object)
    types[::3] = types[::3] + " "
    found.obs["cell_type"] = pd.Categorical(types)
    return found


@case("counts", "differ in case only")
def labels_in_two_cases():
    found = cells()
    types = found.obs["cell_type"].to_numpy(dtype=object)
    types[::5] = "A Cells"
    found.obs["cell_type"] = types
    return found


@case("counts", "name no cell type")
def labels_that_name_no_type():
    found = cells()
    types = found.obs["cell_type"].to_numpy(dtype=object)
    types[:10], types[10:20] = "Unknown", "Doublet"
    found.obs["cell_type"] = types
    return found


@case("counts", "are numbers")
def labels_as_codes_with_gaps():
    found = cells()
    codes = pd.Categorical(found.obs["cell_type"]).codes.astype(float)
    codes[:10] = np.nan
    found.obs["cell_type"] = codes
    return found


@case("refused", "different values")
def labels_that_are_names_of_cells():
    found = cells()
    found.obs["cell_type"] = found.obs_names
    return found


@case("refused", "have no batch")
def batches_with_gaps():
    found = cells()
    batches = found.obs["batch"].to_numpy(dtype=object)
    batches[:5] = "nan"
    found.obs["batch"] = batches
    return found


@case("counts")
def batches_with_gaps_where_labels_have_them():
    found = cells()
    found.obs = found.obs.astype(object)
    found.obs.iloc[:5] = np.nan
    return found


@case("refused", "a continuous measure", batch_key="depth")
def batches_that_are_continuous():
    found = cells()
    found.obs["depth"] = np.random.default_rng(0).random(found.n_obs)
    return found


@case("refused", "a batch has many cells", batch_key="number")
def batches_of_about_a_cell():
    found = cells()
    found.obs["number"] = np.arange(found.n_obs) // 2
    return found


@case("counts", "the same column", batch_key="cell_type")
def batches_that_are_labels():
    return cells()


@case("counts", "repeat another cell exactly")
def cells_that_are_there_twice():
    found = cells()
    twice = found[::4].copy()
    twice.obs_names = [f"{name}-again" for name in twice.obs_names]
    return ad.concat([found, twice])


@case("refused", "too few cells of 'rare'")
def type_of_one_cell():
    found = cells()
    found.obs["cell_type"] = ["rare", *found.obs["cell_type"][1:]]
    return found


@case("counts", "left out: rare", min_cells=3)
def type_of_one_cell_left_out():
    return type_of_one_cell()


@case("refused", "too few cells of 'd cells'")
def type_that_is_one_cell_many_times():
    found = cells()
    kept = found[(found.obs["cell_type"] != "d cells").to_numpy()]
    one = found[(found.obs["cell_type"] == "d cells").to_numpy()][[0] * 5].copy()
    one.obs_names = [f"CELL3-1{'-again' * i}" for i in range(5)]
    return ad.concat([kept, one])


@case("counts", batch_key=None)
def batches_of_one_value():
    found = cells()
    found.obs["batch"] = "A"
    return found


@case("counts", "no batches are used", batch_key=None)
def guessed_batches_of_about_a_cell():
    found = cells()
    del found.obs["batch"]
    found.obs["sample"] = found.obs_names
    return found


@case("refused", "no obs['cell_type']", label_key=None)
def labels_of_no_usual_name():
    found = cells()
    found.obs["predicted.celltype.l2"] = found.obs.pop("cell_type")
    return found
