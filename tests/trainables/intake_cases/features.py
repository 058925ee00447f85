"""Features that are no genes: antibodies, hashtags, peaks, and columns about cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.trainables.intake_cases.genes import with_features
from tests.trainables.intake_cases.table import case, cells, made


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


@case("counts", "no genes are left out (peaks")
def peaks_by_name():
    return with_features([f"chr{i % 22 + 1}:{i * 1000}-{i * 1000 + 500}" for i in range(30)])


@case("counts", "no genes are left out (peaks")
def peaks_by_name_as_signac_writes():
    return with_features([f"chr{i % 22 + 1}-{i * 1000}-{i * 1000 + 500}" for i in range(30)])


@case("refused", "has no genes")
def peaks_only():
    found = cells()
    found.var_names = [f"chr1:{i * 1000}-{i * 1000 + 500}" for i in range(found.n_vars)]
    return found


@case("refused", "has no genes")
def antibodies_only_by_name():
    found = cells(genes=np.arange(30))
    found.var_names = [f"CD{i}_TotalSeqB" for i in range(30)]
    return found


@case("refused", "are antibodies and no genes")
def antibodies_that_nothing_marks():
    return with_features(["CD3", "CD4-1", "CD45RA", "CD16", "HLA-DR", "PD-1"])


@case("counts", "8 features that are no genes are left out (antibodies")
def antibodies_as_panels_name_them():
    names = ["CD3-ADT", "ADT-CD4", "CD8a_ADT", "adt_CD19", "CD3 (TotalSeq-C)", "Hu.CD14-M5E2"]
    return with_features([*names, "HuMs.CD44", "B0251"])


@case("counts", "6 features that are no genes are left out (hashtags")
def hashtags_as_panels_name_them():
    names = ["Hashtag1", "HTO-A", "HTO_D", "Hashtag_2-TotalA", "MULTI_BC1", "hashtag3-AATGG"]
    return with_features(names)


@case("counts", "totals of HTSeq or STAR")
def rows_that_count_no_gene():
    return with_features(["__no_feature", "__ambiguous", "N_unmapped", "N_multimapping"])


@case("counts", "that describe cells are no genes")
def whole_numbers_that_describe_cells():
    names = ["Age", "BMI", "Cluster number", "Total", "pseudotime"]
    return with_features(names, np.arange(5) + np.zeros((made().n_obs, 1)))
