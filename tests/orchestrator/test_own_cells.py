"""A user's own cells through the quickstart: every real file beside the checkout."""

import json

import pytest

FILES = {  # cells, cell types that take part
    "zheng_facs_pbmc": (3874, 10),
    "pbmc3k": (2638, 9),
    "kang_ifnb": (1808, 8),
    "lung_celllines_mixology": (992, 5),
    "pancreas_beta_ductal_3tech": (528, 2),
    "pancreas_wang_xin_219genes": (1175, 7),
}


@pytest.mark.parametrize("name", FILES)
def test_the_quickstart_runs_on_real_cells(name, shared_data, gauntlet, tmp_path):
    cells, types = FILES[name]
    words = ["--data", shared_data / f"{name}.h5ad", "--storage", tmp_path, "--min-cells", 3]
    small = ["seeds=2", "fractions=[0.25]", "logreg.Cs=[0.1]"]
    ran = json.loads(gauntlet("run", "quickstart", *small, *words, "--json").stdout)
    assert ran["statuses"] == {"ok": 8}
    assert ran["sweep"] == f"quickstart-{name}"
    rows = json.loads(
        gauntlet("results", ran["sweep"], "--format", "json", "--storage", tmp_path).stdout
    )
    found = {(row["model"], row["seed"]): row for row in rows if row["metric"] == "test/accuracy"}
    assert abs(found["logreg", 0]["n_eval"] - 0.2 * cells) <= types
    assert found["logreg", 0]["n_classes"] == types
    assert found["logreg", 0]["value"] > found["mean", 0]["value"]
