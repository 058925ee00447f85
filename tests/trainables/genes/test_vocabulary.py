"""Genes and tokens: what is known, what is not, and files that would shift every gene."""

import json

import pytest

from trainables.genes.vocabulary import align, new_vocabulary, read_vocabulary


def test_known_genes_keep_their_columns_and_the_others_are_named():
    found = align(["A", "X", "B", "Y"], {"B": 0, "A": 5}, source="a test")
    assert found.columns.tolist() == [0, 2]
    assert found.ids.tolist() == [5, 0]
    assert found.missing == ("X", "Y")
    assert found.described() == "2 of 4 genes are in the vocabulary; X, Y are not"


def test_no_known_gene_is_an_error_that_shows_both_kinds_of_names():
    with pytest.raises(ValueError, match=r"ENSG1.*vocabulary of human.*such as CD3E"):
        align(["ENSG1"], {"<pad>": 0, "CD3E": 1}, source="human")


def test_a_vocabulary_survives_its_file_and_gets_the_special_tokens(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"B": 1, "A": 0}))
    assert read_vocabulary(path) == {"A": 0, "B": 1, "<pad>": 2, "<cls>": 3, "<eoc>": 4}
    path.write_text(json.dumps(new_vocabulary(["A"])))
    assert read_vocabulary(path) == new_vocabulary(["A"])


@pytest.mark.parametrize(
    "content", ['{"A": 0, "B": 2}', '{"A": 0, "B": 0}', "[1]", "{", '{"A": "x"}']
)
def test_numbers_that_are_no_rows_are_refused(tmp_path, content):
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"vocab\.json"):
        read_vocabulary(path)
