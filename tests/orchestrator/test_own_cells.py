"""A user's own cells: every real file beside the checkout."""

import json

FILES = {  # cells, cell types that take part
    "zheng_facs_pbmc": (3874, 10),
    "pbmc3k": (2638, 9),
    "kang_ifnb": (1808, 8),
    "lung_celllines_mixology": (992, 5),
    "pancreas_beta_ductal_3tech": (528, 2),
    "pancreas_wang_xin_219genes": (1175, 7),
}
SMALL = ["seeds=2", "fractions=[0.25]", "logreg.Cs=[0.1]"]


def test_the_quickstart_runs_on_real_cells(shared_data, gauntlet, tmp_path):
    words = ["--data", shared_data / "kang_ifnb.h5ad", "--storage", tmp_path, "--min-cells", 3]
    ran = json.loads(gauntlet("run", "quickstart", *SMALL, *words, "--json").stdout)
    assert ran["statuses"] == {"ok": 8}
    assert ran["sweep"] == "quickstart-kang_ifnb"
    learned(gauntlet, ran["sweep"], tmp_path, {"kang_ifnb"})


def test_a_sweep_takes_several_files(shared_data, gauntlet, tmp_path):
    path, others = tmp_path / "several.py", FILES.keys() - {"kang_ifnb"}
    # the scale of the file of 219 genes cannot be told from its values
    word = {"pancreas_wang_xin_219genes": ", values='lognorm'"}
    files = [
        f"UserFile({str(shared_data / name) + '.h5ad'!r}, min_cells=3{word.get(name, '')})"
        for name in others
    ]
    path.write_text(
        "from dataclasses import replace\n"
        "from search_spaces.quickstart import SWEEP as QUICK\n"
        "from trainables.userdata import UserFile\n"
        f"SWEEP = replace(QUICK, name='', datasets=[{', '.join(files)}])\n"
    )
    ran = json.loads(gauntlet("run", path, *SMALL, "--storage", tmp_path, "--json").stdout)
    assert ran["statuses"] == {"ok": 8 * len(others)}
    learned(gauntlet, "several", tmp_path, others)


def learned(gauntlet, sweep, storage, names):
    """Check what every data set's trials say."""
    words = ("--format", "json", "--storage", storage)
    rows = json.loads(gauntlet("results", sweep, *words).stdout)
    assert {row["dataset"] for row in rows} == set(names)
    for name in names:
        cells, types = FILES[name]
        found = {
            (row["model"], row["seed"]): row
            for row in rows
            if row["metric"] == "test/accuracy" and row["dataset"] == name
        }
        assert abs(found["logreg", 0]["n_eval"] - 0.2 * cells) <= types
        assert found["logreg", 0]["n_classes"] == types
        assert found["logreg", 0]["value"] > found["mean", 0]["value"]
