"""What `gauntlet show` knows of things."""

from orchestrator.known import everything


def test_a_model_says_what_each_hyperparameter_means_where_its_file_does(tmp_path):
    told = everything("geneformer", tmp_path)["model"]
    assert told["hyperparameters"]["lr"] == 0
    assert told["meaning"]["lr"] == "The peak: 5e-5 in fine-tuning and 1e-3 in pretraining."
    assert set(told["meaning"]) < set(told["hyperparameters"])
    assert "published" not in told["meaning"]
    assert "meaning" not in everything("mean", tmp_path)["model"]


def test_a_sweep_whose_cells_are_not_here_says_what_it_asks_and_how_to_get_them(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("GAUNTLET_DATA", str(tmp_path))
    told = everything("boiarsky2023/table1", tmp_path)["sweep"]
    assert told["title"].startswith("Does scBERT name blood cells")
    assert told["datasets"] == ["zheng68k"]
    assert "gauntlet data fetch zheng68k" in told["not planned"]
    assert everything("quickstart", tmp_path)["sweep"]["trials"] == 80
