"""Which trials can start: their cells prepared, and all asked of them that needs no computing."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.execute import Done, record_of
from orchestrator.planning import Plan
from orchestrator.records import Ledger
from orchestrator.storage import store
from orchestrator.version import code_version
from trainables.cells import decision, open_cells, prepare
from trainables.protocols import Cells, NotApplicable, Unavailable
from trainables.store import canonical
from trainables.trial import Trial


def ready(planned: Plan, note: Callable[[str], None]) -> list[Trial]:
    """The trials to run, their cells prepared, after every check that needs no computing.

    A trial that does not apply is recorded as such here. What `records.misjudged` finds becomes an
    attempt. Raises ValueError for the first trial that cannot run on these cells.
    """
    made, sources = store(planned.storage), planned.sources()
    cells = {}
    for name in sorted({trial.dataset for trial in planned.to_run}):
        cells[name] = open_cells(prepare(sources[name], made))
        taken = decision(cells[name])
        for words in (taken.sentence, *taken.notes):
            note(f"{name}: {words}")
    missing, declined = [], []
    answers: dict[tuple[str, ...], NotApplicable | None] = {}
    for trial in planned.longest_first():
        # no answer depends on seed or fraction, and a check may look at every cell
        asked = trial.model, trial.dataset, canonical([trial.model_params, trial.task_params])
        if asked not in answers:
            answers[asked] = declined_because(trial, cells[trial.dataset])
            if answers[asked] is None and not trial.needs():  # else its weights are yet to be made
                overlaps = trial.overlaps(cells[trial.dataset], trial.build(), made)
                for name, overlap in overlaps.items():
                    if overlap.empty_cells:
                        note(f"{trial.dataset}: {overlap.sentence(name)}")
        if (reason := answers[asked]) is not None:
            declined.append((trial, reason))
        else:
            missing.append(trial)
    # after all checks: bad input leaves nothing behind
    ledger = Ledger(planned.storage)
    standing = ledger.settled_ids()
    for trial in planned.to_run:
        if trial.id in standing:
            ledger.reopen(trial.id)
    decline(ledger, declined)
    return missing


def decline(ledger: Ledger, declined: list[tuple[Trial, NotApplicable]]) -> None:
    """Record why trials do not apply; what their last record says already is not said again."""
    code = code_version()
    last = {r["trial_id"]: r for r in ledger.current(trial.id for trial, _ in declined)}
    for trial, reason in declined:
        done = Done(
            status="not_applicable",
            reason=str(reason),
            lacks=getattr(reason, "package", ""),
            unavailable=isinstance(reason, Unavailable),
        )
        before = last.get(trial.id, {})
        if (before.get("status"), before.get("reason")) != (done.status, done.reason):
            ledger.commit(record_of(trial, done, code))


def declined_because(trial: Trial, cells: Cells) -> NotApplicable | None:
    """Why a trial does not apply, if it does not. Raises ValueError for unusable cells."""
    try:
        trial.check(cells)
    except NotApplicable as reason:
        return reason
    return None
