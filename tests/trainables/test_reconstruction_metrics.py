"""Errors of bins and correlations of ranks, beside the definitions spelled out token by token."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.stats import pearsonr

from trainables.genes.ranks import places
from trainables.metrics.reconstruction import (
    average_places,
    bin_errors,
    by_gene,
    mean_bins,
    rank_correlations,
)


def lists(seed, n_cells=6, n_tokens=14):
    """Lists of tokens that are asked, and as many answers with repeats and inventions."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, n_tokens - 2, n_cells)
    asked = np.zeros((n_cells, lengths.max()), int)
    said = np.zeros_like(asked)
    for cell, n in enumerate(lengths):
        asked[cell, :n] = rng.permutation(n_tokens)[:n]
        said[cell, :n] = np.where(rng.random(n) < 0.6, asked[cell, :n], rng.integers(0, 14, n))
    return asked, said, lengths, n_tokens


def in_places(seed):
    asked, said, lengths, n_tokens = lists(seed)
    return places(asked, lengths, n_tokens), places(said, lengths, n_tokens)


def union_by_hand(asked, said, lengths):
    """A table with a row a token and cell, joined and averaged as the released code says."""
    rank = [np.arange(n)[::-1] / (n - 1) for n in lengths]
    tables = [
        pd.DataFrame(
            {
                "cell": np.repeat(np.arange(len(lengths)), lengths),
                "token": np.concatenate([row[:n] for row, n in zip(rows, lengths, strict=True)]),
                "rank": np.concatenate(rank),
            }
        )
        for rows in (asked, said)
    ]
    answers = tables[1].groupby(["token", "cell"], as_index=False).mean()
    joined = tables[0].merge(answers, on=["token", "cell"], how="outer").fillna(0)
    means = joined[joined["rank_x"] > 0].groupby("token")["rank_x"].mean()
    joined["mean"] = joined["token"].map(means).fillna(0)
    for _, cell in joined.groupby("cell"):
        yield pearsonr(cell["rank_x"], cell["rank_y"])[0], pearsonr(cell["rank_x"], cell["mean"])[0]


def dense_by_hand(asked, said, lengths):
    """Whole matrices of places, absent ones behind the last, as the two earlier versions had."""
    every = [row[:n] for rows in (asked, said) for row, n in zip(rows, lengths, strict=True)]
    tokens = np.unique(np.concatenate(every))
    before, after = (np.empty((len(tokens), len(lengths))) for _ in range(2))
    for j, n in enumerate(lengths):
        for i, token in enumerate(tokens):
            there, found = (np.flatnonzero(rows[j, :n] == token) for rows in (asked, said))
            before[i, j] = there[0] + 1 if len(there) else n + 1
            after[i, j] = np.rint(found.mean()) + 1 if len(found) else n + 1
    return before, after


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_union_is_the_released_definition(seed):
    asked, said, lengths, _ = lists(seed)
    found = rank_correlations(*in_places(seed))[["union", "union_average"]].to_numpy()
    expected = np.array(list(union_by_hand(asked, said, lengths)))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_all_tokens_and_percent_rank_are_the_earlier_ones(seed):
    asked, said, lengths, _ = lists(seed)
    before, after = dense_by_hand(asked, said, lengths)
    ours = rank_correlations(*in_places(seed))
    ranks = before.max(axis=0) - before
    averages = {
        "all_tokens": (ranks / ranks.max(axis=0)).mean(axis=1),
        "percent_rank": ((before - 1) / (len(before) - 1)).mean(axis=1),
    }
    for name, average in averages.items():
        for cell in range(len(lengths)):
            expected = pearsonr(before[:, cell], after[:, cell])[0]
            assert ours[name][cell] == pytest.approx(expected, abs=1e-9)
            sign = -1 if name == "all_tokens" else 1  # there the average is one of ranks
            expected = sign * pearsonr(before[:, cell], average)[0]
            assert ours[f"{name}_average"][cell] == pytest.approx(expected, abs=1e-9)


def test_the_definitions_disagree_on_who_is_better():
    """Why figure 8's sign hangs on them: absent-absent pairs praise whoever knows what is there."""
    rng = np.random.default_rng(1)
    lengths = np.full(30, 40)
    by_habit = np.argsort(np.arange(400) + rng.normal(scale=25, size=(30, 400)), axis=1)
    asked = np.stack([row[np.sort(rng.permutation(120)[:40])] for row in by_habit])
    said = np.stack([rng.permutation(row) for row in asked])  # the right genes, in any order
    found = rank_correlations(places(asked, lengths, 400), places(said, lengths, 400)).mean()
    assert found["union"] < found["union_average"]
    assert found["all_tokens"] > found["union"] + 0.3


def test_who_gives_back_what_was_asked_scores_one():
    asked, _ = in_places(3)
    found = rank_correlations(asked, asked)
    for name in ("union", "all_tokens", "percent_rank"):
        np.testing.assert_allclose(found[name], 1)
    assert bin_errors(asked, asked)["mse"] == 0


def test_the_average_as_an_answer_scores_what_the_average_scores():
    asked, _ = in_places(5)
    found = rank_correlations(asked, average_places(asked))
    np.testing.assert_allclose(found["union"], found["union_average"], atol=1e-9)


def test_errors_are_weighted_as_they_say():
    asked = csr_matrix([[1.0, 5.0], [3.0, 0.0]])
    said = csr_matrix(([2.0, 5.0, 0.0], asked.indices, asked.indptr), shape=asked.shape)
    found = bin_errors(asked, said)
    assert found["mse"] == pytest.approx((1 + 0 + 9) / 3)
    assert found["mse_genes"] == pytest.approx(((1 + 9) / 2 + 0) / 2)
    assert found["mse_cells"] == pytest.approx(((1 + 0) / 2 + 9) / 2)
    assert found["mae"] == pytest.approx(4 / 3)
    assert by_gene(asked, asked.data)["n"].tolist() == [2, 1]


def test_a_genes_own_mean_is_never_behind_the_papers_one_number():
    rng = np.random.default_rng(0)
    asked = csr_matrix(rng.integers(0, 51, (40, 20)).astype(float))
    own, one = (bin_errors(asked, mean_bins(asked, per_gene=each))["mse"] for each in (True, False))
    assert own <= one
    assert one == pytest.approx(asked.data.var())


def test_answers_at_other_places_are_refused():
    asked = csr_matrix([[1.0, 0.0], [0.0, 2.0]])
    with pytest.raises(ValueError, match="must store the same cells and genes"):
        bin_errors(asked, csr_matrix([[1.0, 0.0], [2.0, 0.0]]))
    with pytest.raises(ValueError, match="nothing was asked"):
        bin_errors(csr_matrix((2, 2)), csr_matrix((2, 2)))


def test_a_cell_with_one_token_or_none_has_no_union_correlation():
    asked = csr_matrix([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    found = rank_correlations(asked, asked)
    assert found["union"].isna().tolist() == [True, True, False]
