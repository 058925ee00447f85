"""A sweep replayed on a made-up cluster, dealt out by the rules that the driver deals by.

    uv run python benchmarks/simulate.py [--trials 100000] [--gpus 1000] [--nodes 125]
    uv run python benchmarks/simulate.py --storage gauntlet-runs   # the costs of recorded trials

Trials are of kinds whose costs are log-normal (made up: 0.05 s to ten minutes), and
what is predicted of a kind is off by a factor; or both are a storage's records, drawn again. A
handful costs its worker `--overhead` seconds, a trial `--each`. Nodes are lost at random and come
back; what a lost worker was at runs again from its start. The lower bound is what no schedule can
be below: all seconds spread over all workers, or the longest trial; a node that is away is no
worker.
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import show

from orchestrator.dealing import PATIENCE, Deck, Kind


@dataclass(frozen=True)
class Cluster:
    """Workers on nodes, and how often a node goes away and for how long (seconds)."""

    workers: int
    nodes: int
    between_losses: float = math.inf
    away: float = 600.0
    overhead: float = 0.05
    each: float = 0.02


@dataclass(frozen=True)
class Replayed:
    """How it went, in seconds; `lost` trials ran again."""

    makespan: float
    bound: float
    handfuls: int
    lost: int


def replay(
    kinds: Sequence[Kind],
    seconds: np.ndarray,
    predicted: Mapping[Kind, float],
    cluster: Cluster,
    rng: np.random.Generator,
) -> Replayed:
    """Deal all trials (one of `kinds` each, lasting `seconds`) to the cluster's workers."""
    order = sorted(range(len(kinds)), key=lambda i: -predicted.get(kinds[i], math.inf))
    deck = Deck(((i, kinds[i]) for i in order), predicted, {None: cluster.workers})
    node_of = np.arange(cluster.workers) % cluster.nodes
    out: dict[int, tuple[list[int], Kind, float, int]] = {}
    alive, back, idle = np.zeros(cluster.workers, dtype=int), [0.0] * cluster.nodes, []
    events = [(0.0, 1, worker) for worker in range(cluster.workers)]
    loss_every = cluster.between_losses / cluster.nodes
    if math.isfinite(loss_every):
        events.append((rng.exponential(loss_every), 0, -1))
    heapq.heapify(events)
    left, now, handfuls, lost, absent = len(kinds), 0.0, 0, 0, 0.0
    finish = 0.0
    while left:
        now, what, worker = heapq.heappop(events)
        if what == 0:  # a node goes away with all that its workers are at
            node = int(rng.integers(cluster.nodes))
            heapq.heappush(events, (now + rng.exponential(loss_every), 0, -1))
            if back[node] > now:
                continue
            back[node] = now + cluster.away
            mine = np.flatnonzero(node_of == node)
            absent += cluster.away * len(mine)
            alive[mine] += 1
            for w in mine.tolist():
                heapq.heappush(events, (back[node], 1 + int(alive[w]), w))
                if w in out:
                    done, at = settled(out.pop(w), seconds, cluster, now, deck)
                    left, lost = left - done, lost + at
            idle = [w for w in idle if node_of[w] != node]
        elif what != 1 + alive[worker]:
            continue  # of a worker that is no more
        else:
            if worker in out:
                done, _ = settled(out.pop(worker), seconds, cluster, now, deck)
                left, finish = left - done, now
            idle.append(worker)
        while idle and (dealt := deck.deal()) is not None:
            worker, handfuls = idle.pop(), handfuls + 1
            lasts, n = duration(dealt[0], seconds, cluster)
            out[worker] = (*dealt, now, n)
            heapq.heappush(events, (now + lasts, 1 + int(alive[worker]), worker))
    bound = max((seconds.sum() + min(absent, finish * cluster.workers)) / cluster.workers,
                float(seconds.max()))  # fmt: skip
    return Replayed(finish, bound, handfuls, lost)


def duration(trials: list[int], seconds: np.ndarray, cluster: Cluster) -> tuple[float, int]:
    """How long a handful keeps its worker, and how many of its trials it gets to."""
    total = cluster.overhead
    for n, trial in enumerate(trials, start=1):
        total += seconds[trial] + cluster.each
        if total > PATIENCE:
            return total, n
    return total, len(trials)


def settled(
    was: tuple[list[int], Kind, float, int],
    seconds: np.ndarray,
    cluster: Cluster,
    now: float,
    deck: Deck[int],
) -> tuple[int, int]:
    """How many trials of a handful ended by now, and whether one was broken off; deal the rest."""
    trials, kind, begun, reached = was
    spent = begun + cluster.overhead
    for n, trial in enumerate(trials[:reached]):
        spent += seconds[trial] + cluster.each
        if spent > now + 1e-6:
            deck.put_alone(trial, kind)
            deck.put_back(trials[n + 1 :], kind)
            return n, 1
        deck.learn(kind, seconds[trial])
    deck.put_back(trials[reached:], kind)
    return reached, 0


Drawn = tuple[list[Kind], np.ndarray, dict[Kind, float]]


def made_up(trials: int, kinds: int, wrong: float, unknown: float, rng) -> Drawn:
    """Trials of kinds from 0.05 s to ten minutes; what is predicted of a kind is off by a factor.

    The longest must be far below all seconds over all workers, or it alone decides the makespan.
    """
    typical = np.exp(np.linspace(math.log(0.05), math.log(600.0), kinds))
    which = rng.integers(kinds, size=trials)
    seconds = typical[which] * np.exp(rng.normal(0, 0.25, trials))
    names = [Kind(i) for i in range(kinds)]
    off = typical * np.exp(rng.normal(0, wrong, kinds))
    known = {names[i]: float(off[i]) for i in range(kinds) if rng.random() >= unknown}
    return [names[i] for i in which], seconds, known


def recorded(storage: Path, trials: int, rng) -> Drawn:
    """A storage's trials drawn again, with the costs that it has learned."""
    from orchestrator.costs import kind_of, learned
    from orchestrator.records import Ledger
    from trainables.trial import Trial

    ledger, costs = Ledger(storage), learned(storage)
    seen = []
    for record in ledger.current(sorted(ledger.settled_ids())):
        if record["cost"]["wall_s"] > 0:
            spec = record["trial"]
            names = ("model", "task", "dataset", "seed", "dataset_sha256")
            known = {name: spec[name] for name in names}
            trial = Trial(**known, fraction=spec["task_params"]["fraction"])
            seen.append((kind_of(trial, None), record["cost"]["wall_s"], costs.of(trial)))
    if not seen:
        raise SystemExit(f"{storage} has no records with costs")
    drawn = [seen[i] for i in rng.integers(len(seen), size=trials)]
    predicted = {kind: cost.seconds for kind, _, cost in drawn if cost is not None}
    return [kind for kind, _, _ in drawn], np.array([s for _, s, _ in drawn]), predicted


def main() -> None:
    """Replay with and without what goes wrong, and print makespan over lower bound."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--gpus", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=125)
    parser.add_argument("--kinds", type=int, default=60)
    parser.add_argument("--overhead", type=float, default=0.05)
    parser.add_argument("--each", type=float, default=0.02)
    parser.add_argument("--storage", type=Path)
    asked = parser.parse_args()
    calm = Cluster(asked.gpus, asked.nodes, overhead=asked.overhead, each=asked.each)
    day = 86400.0
    lossy = Cluster(asked.gpus, asked.nodes, 2 * day, 600.0, asked.overhead, asked.each)
    table = [["what", "makespan, s", "lower bound, s", "ratio", "handfuls", "ran again", "took, s"]]
    cases = {
        "costs known, no losses": (0.0, 0.0, calm),
        "predictions off by 1.5": (0.4, 0.0, calm),
        "a third of the kinds unknown": (0.4, 0.33, calm),
        "the same, a node lost every two days": (0.4, 0.33, lossy),
    }
    for name, (wrong, unknown, cluster) in cases.items():
        rng = np.random.default_rng(0)
        if asked.storage:
            drawn = recorded(asked.storage, asked.trials, rng)
        else:
            drawn = made_up(asked.trials, asked.kinds, wrong, unknown, rng)
        began = time.perf_counter()
        went = replay(*drawn, cluster, rng)
        took = time.perf_counter() - began
        row = [name, f"{went.makespan:.0f}", f"{went.bound:.0f}"]
        row += [f"{went.makespan / went.bound:.3f}", f"{went.handfuls}", f"{went.lost}"]
        table.append([*row, f"{took:.1f}"])
    show(f"{asked.trials:,} trials on {asked.gpus:,} GPUs of {asked.nodes} nodes", table)


if __name__ == "__main__":
    main()
