"""Which trials can start: their cells prepared, and all asked of them that needs no computing."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.execute import Done, record_of
from orchestrator.planning import Plan
from orchestrator.records import Ledger
from orchestrator.storage import store
from orchestrator.version import code_version
from trainables.cells import decision, open_cells, prepare
from trainables.protocols import Cells, NotApplicable
from trainables.store import canonical
from trainables.trial import Trial


def ready(planned: Plan, note: Callable[[str], None]) -> list[Trial]:
    """The trials to run, their cells prepared, after every check that needs no computing.

    A trial that does not apply is recorded as such here. Raises ValueError for the first trial
    that cannot run on these cells.
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
        if (reason := answers[asked]) is not None:
            declined.append((trial, reason))
        else:
            missing.append(trial)
    if declined:  # after all checks: bad input leaves nothing behind
        ledger, code = Ledger(planned.storage), code_version()
        for trial, reason in declined:
            lacks = getattr(reason, "package", "")
            done = Done(status="not_applicable", reason=str(reason), lacks=lacks)
            ledger.commit(record_of(trial, done, code))
    return missing


def declined_because(trial: Trial, cells: Cells) -> NotApplicable | None:
    """Why a trial does not apply, if it does not. Raises ValueError for unusable cells."""
    try:
        trial.check(cells)
    except NotApplicable as reason:
        return reason
    return None
