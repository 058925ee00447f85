"""Geneformer's dictionaries: numbers and nothing else, and which genes they know."""

import io
import pickle

import numpy as np
import pandas as pd
import pytest

from trainables.genes import dictionaries
from trainables.genes.dictionaries import Dictionaries


def named(names):
    return pd.DataFrame(index=pd.Index(names))


def test_the_real_dictionaries_work(shared_data):
    known = dictionaries.read(shared_data / "vocab")
    assert (len(known.tokens), len(known.symbols), known.version) == (25_426, 40_248, "v1")
    found = known.found(named(["CD3E", "ENSG00000156738", "MS4A1", "NOSUCHGENE"]), source="x")
    assert found.tokens[0] == known.tokens["ENSG00000198851"]
    assert found.tokens[1] == found.tokens[2] > 0
    assert "3 of 4 genes have a token" in found.report
    assert "1 without an Ensembl id (NOSUCHGENE)" in found.report
    assert "share theirs" in found.report


def test_a_dictionary_that_holds_code_is_not_opened(tmp_path):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "opened"), "w"))

    (tmp_path / "token_dictionary.pkl").write_bytes(pickle.dumps({"<pad>": Code()}))
    with pytest.raises(ValueError, match=r"holds Python code, .*open, and is not opened"):
        dictionaries.read(tmp_path)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numbers_of_both_numpys_are_read(module):
    text = pickle.dumps({"A": np.float64(2.5), "B": np.int16(7)}, protocol=4)
    held = b"numpy._core.multiarray"
    if held not in text:
        held = b"numpy.core.multiarray"
    size = bytes([len(held)])
    text = text.replace(b"\x8c" + size + held, b"\x8c" + bytes([len(module)]) + module.encode())
    frameless = text[:2] + text[11:]  # the frame's length no longer holds
    assert dictionaries.NumbersOnly(io.BytesIO(frameless)).load() == {"A": 2.5, "B": 7}


def test_symbols_go_by_their_id_and_what_is_dropped_is_told():
    known = Dictionaries({"<pad>": 0, "<mask>": 1, "ENSG1": 2}, {"ENSG1": 2.0}, {"GENE": "ENSG1"})
    found = known.found(named(["GENE", "ENSG1.5", "OTHER"]), source="x")
    assert found.tokens.tolist() == [2, 2, -1]
    assert found.medians[:2].tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match="none of the 1 genes"):
        known.found(named(["OTHER"]), source="x")
