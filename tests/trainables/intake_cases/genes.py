"""Names of genes, and the species that they tell."""

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


@case("counts")
def names_in_quotes():
    found = cells()
    found.var_names = [f"'{name}'" for name in symbols()]
    return found


@case("counts")
def names_that_are_bytes_in_words():
    found = cells()
    found.var_names = [f"b'{name}'" for name in symbols()]
    return found


@case("counts")
def names_of_symbol_and_entrez_number():
    found = cells()
    found.var_names = [f"{name}|{i + 100}" for i, name in enumerate(symbols())]
    return found


@case("counts")
def names_of_symbol_and_chromosome():
    found = cells()
    found.var_names = [f"{name}__chr{i % 22 + 1}" for i, name in enumerate(symbols())]
    return found


@case("ids", "no well-known gene is among the names")
def names_that_are_no_symbols():
    found = cells()
    found.var_names = [f"LOC{100 + i}" for i in range(found.n_vars)]
    return found


@case("refused", "genes of 2 genomes (hg19, mm10)")
def names_of_two_genomes_with_dashes():
    found = cells()
    found.var_names = [f"{'hg19' if i % 2 else 'mm10'}-{n}" for i, n in enumerate(symbols())]
    return found


@case("refused", "genes of man (such as")
def symbols_of_man_and_mouse():
    found = cells()
    found.var_names = [n if i % 2 else n.capitalize() for i, n in enumerate(symbols())]
    return found


@case("refused", "man (ENSG...) and mouse (ENSMUSG...)")
def ids_of_man_and_mouse():
    found = cells()
    found.var_names = [n if i % 2 else n.replace("ENSG", "ENSMUSG") for i, n in enumerate(ids())]
    return found


@case("refused", "several genomes (GRCh38, mm10")
def two_genomes_in_a_column():
    found = cells()
    found.var["genome"] = ["GRCh38" if i % 2 else "mm10" for i in range(found.n_vars)]
    return found


@case("counts")
def genome_of_a_virus_in_a_column():
    found = cells()
    found.var["genome"] = ["GRCh38"] * (found.n_vars - 5) + ["SARS2"] * 5
    return found


@case("refused", "genes have no name")
def genes_without_names():
    found = cells()
    names = symbols().astype(object)
    names[3:5] = "nan"
    found.var_names = names
    return found
