"""Handing out trials: every one once, the longest first, the short by the handful."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dealing import HANDFUL, Deck, Kind

LONG, SHORT, NEW = Kind("long", "m"), Kind("short", "m"), Kind("new", "other")


def emptied(deck, learn=None):
    """Everything dealt, handful by handful."""
    found = []
    while (dealt := deck.deal()) is not None:
        found.append(dealt)
        for _ in dealt[0]:
            if learn:
                deck.learn(dealt[1], learn[dealt[1]])
    return found


def test_the_longest_come_first_and_short_ones_together():
    trials = [(i, SHORT) for i in range(400)] + [(400 + i, LONG) for i in range(3)]
    dealt = emptied(Deck(trials, {LONG: 60.0, SHORT: 0.01}, {None: 2}))
    assert [kind for _, kind in dealt[:3]] == [LONG] * 3
    assert [len(some) for some, _ in dealt[:3]] == [1, 1, 1]
    sizes = [len(some) for some, _ in dealt[3:]]
    assert max(sizes) <= HANDFUL / 0.01
    assert sizes[0] > 50
    assert sizes == sorted(sizes, reverse=True), "the tail is dealt in ever smaller handfuls"
    assert [i for some, _ in dealt[3:] for i in some] == list(range(400)), "in their order"


def test_what_nothing_is_known_of_goes_first_and_one_by_one_until_it_is():
    trials = [(i, LONG) for i in range(3)] + [(10 + i, NEW) for i in range(50)]
    deck = Deck(trials, {LONG: 60.0}, {None: 2})
    assert deck.deal() == ([10], NEW)
    assert deck.deal() == ([11], NEW)
    deck.learn(NEW, 0.01)
    assert deck.deal() == ([0], LONG)
    assert [len(some) for some, _ in emptied(deck)][-1] < 48


def test_a_kind_is_taken_for_its_family_while_it_is_unknown():
    deck = Deck([(0, LONG), (1, SHORT), (2, SHORT)], {}, {None: 1})
    deck.learn(LONG, 0.001)
    assert deck.expected(SHORT) == 0.001
    assert deck.expected(NEW) is None


def test_what_this_sweep_sees_outweighs_what_was_predicted():
    deck = Deck([(i, SHORT) for i in range(100)], {SHORT: 100.0}, {None: 1})
    for _ in range(3):
        assert len(deck.deal()[0]) == 1
    for seconds in (3.0, 0.01, 0.01):
        deck.learn(SHORT, seconds)
    assert len(deck.deal()[0]) > 10, "one slow start is no rule"


def test_a_place_without_workers_leaves_its_trials_to_wait():
    on_gpu, on_cpu = Kind("a", place="gpu"), Kind("b", place="cpu")
    deck = Deck([(0, on_gpu), (1, on_cpu)], {on_gpu: 60.0, on_cpu: 1.0}, {"gpu": 1, "cpu": 1})
    assert deck.deal({"cpu"}) == ([1], on_cpu)
    assert deck.deal({"cpu"}) is None
    assert deck.deal() == ([0], on_gpu)


@given(
    st.lists(st.sampled_from([LONG, SHORT, NEW]), max_size=60),
    st.dictionaries(st.sampled_from([LONG, SHORT, NEW]), st.floats(0, 100)),
    st.integers(1, 8),
    st.lists(st.integers(0, 3), max_size=40),
)
def test_every_trial_ends_once_whatever_is_put_back(kinds, predicted, workers, fates):
    deck, ended, fates = Deck(enumerate(kinds), predicted, {None: workers}), Counter(), iter(fates)
    while (dealt := deck.deal()) is not None:
        some, kind = dealt
        assert {kinds[i] for i in some} == {kind}
        fate = next(fates, len(some))
        ended.update(some[:fate])
        if some[fate:]:  # died at this one
            deck.put_alone(some[fate], kind)
            deck.put_back(some[fate + 1 :], kind)
    assert ended == Counter(range(len(kinds)))
    assert len(deck) == 0
