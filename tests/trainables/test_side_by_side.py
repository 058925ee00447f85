"""A handful of trials solved ahead: each gives what it gives alone, whatever is wrong with one."""

from tests.trainables import tiny_scimilarity
from trainables import catalog, heads
from trainables.side_by_side import families, solve_ahead
from trainables.trial import Trial


def trials_on(folder):
    """Two models on one embedding, at several seeds, shares and strengths."""

    def trial(seed, fraction=1.0, model="scimilarity+cached+probe", **params):
        weights = {f"{'embedder.' * model.count('+')}weights": str(folder)}
        least = {f"{'embedder.' * model.count('+')}least_genes": 1}
        return Trial(model, "annotation", "toy", seed, fraction, {**weights, **least, **params})

    return trial


def test_a_handful_solved_ahead_gives_what_each_gives_alone(ctx, tmp_path):
    genes = catalog.dataset("toy").read().var_names
    folder, _ = tiny_scimilarity.write(tmp_path / "weights", list(genes))
    trial = trials_on(folder)
    good = [
        trial(seed, fraction, C=C) for seed in (0, 1) for fraction in (0.3, 1.0) for C in (1, 9)
    ]
    bad = [trial(0, C=-1.0), trial(0, -0.5), Trial("pca+probe", "annotation", "toy", 0)]
    handful = [bad[0], *good[:3], *bad[1:], *good[3:]]
    assert sorted(map(len, families(handful).values())) == [1, len(good) + 1]

    solve_ahead(handful, ctx.store)
    assert not heads.AHEAD  # there is no embedding yet
    alone = [one.run(ctx) for one in good]
    solve_ahead(handful, ctx.store)
    assert len(heads.AHEAD) == len(good)
    assert [one.run(ctx) for one in good] == alone
    assert not heads.AHEAD

    solve_ahead(handful, ctx.store)
    solve_ahead(bad, ctx.store)  # what nobody asked for is forgotten
    assert not heads.AHEAD
