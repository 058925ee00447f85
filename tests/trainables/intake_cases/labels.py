"""Labels, batches and copies of cells."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from tests.trainables.intake_cases.table import case, cells


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


def changed(change, every: int = 2) -> Any:
    """Cells of which each second has a label that is written otherwise."""
    found = cells()
    kinds = found.obs["cell_type"].astype(object).to_numpy()
    kinds[::every] = [change(kind) for kind in kinds[::every]]
    found.obs["cell_type"] = kinds
    return found


@case("counts", "double blanks")
def labels_with_double_blanks():
    return changed(lambda kind: kind.replace(" ", "  "))


@case("counts", "double blanks")
def labels_with_blanks_that_do_not_break():
    return changed(lambda kind: kind.replace(" ", "\u00a0"))


@case("counts", "invisible signs")
def labels_with_signs_of_no_width():
    return changed(lambda kind: "\ufeff" + kind)


@case("counts", "invisible signs")
def labels_with_letters_composed_or_not():
    found = changed(lambda kind: kind)
    kinds = "na\u00efve " + found.obs["cell_type"].astype(str)
    decomposed = kinds.str.replace("\u00ef", "i\u0308")
    found.obs["cell_type"] = np.where(np.arange(len(kinds)) % 2, kinds, decomposed)
    return found


@case("counts", "name no cell type")
def labels_of_signs_alone():
    return changed(lambda kind: "-", every=40)


@case("counts", "differ in case only")
def batches_in_two_cases():
    found = cells()
    names = found.obs["batch"].astype(object).to_numpy()
    names[::8] = [name.upper() for name in names[::8]]
    found.obs["batch"] = names
    return found
