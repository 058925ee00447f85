"""Trials shared out between the drivers that run on one storage at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.records import Ledger
from orchestrator.storage import bucket_of, leases
from trainables.leases import Leases
from trainables.trial import Trial

WAIT = 1.0
"""Seconds between two looks at what another driver has done; in a bucket, ten times as many."""


def shared_out(
    trials: list[Trial],
    storage: Path,
    here: Callable[[list[Trial]], bool],
    note: Callable[[str], None],
) -> bool:
    """Run trials `here` but for those that another driver has; wait for these. False if stopped.

    The trials of a driver that died in the meantime are run here, too.
    """
    ledger, noted = Ledger(storage), False
    before, left = ledger.tries(), trials
    with Leases(leases(storage)) as ours:
        while left:
            taken = ours.take([trial.id for trial in left])
            tries = ledger.tries()  # after taking: what another has done is done
            left = [trial for trial in left if tries[trial.id] == before[trial.id]]
            mine = [trial for trial in left if trial.id in taken]
            if mine and not here(mine):
                return False
            ours.drop(taken)
            left = [trial for trial in left if trial.id not in taken]
            if left:
                if not noted:
                    note(f"another run on this storage has {len(left)} of these trials")
                    noted = True
                time.sleep(WAIT if bucket_of(storage) is None else 10 * WAIT)
    return True
