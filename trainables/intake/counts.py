"""Matrix of a file that holds its counts, or else the best logarithms of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from trainables.intake.candidates import Candidate, holds_counts, is_primary
from trainables.intake.decision import IntakeOptions
from trainables.intake.finding import Finding
from trainables.intake.labels import plain
from trainables.intake.scales import target_of

COUNTS_WAY = "put raw counts into layers['counts'] or .raw, or name their layer with --counts-layer"
VALUES_WAY = "or say what the values are with --values counts, lognorm or linear"


@dataclass(frozen=True)
class Choice:
    """Matrix to take, its kind, and the library of each cell where sums do not tell it."""

    candidate: Candidate
    finding: Finding
    library: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def choose(found: list[Candidate], options: IntakeOptions, name: str) -> Choice:
    """The matrix to take; see `docs/your-cells.md` for the order.

    Raises LookupError for a layer that is not there and ValueError, in one sentence that names a
    way out, where no matrix can be taken or two contradict each other.
    """
    if not found:
        raise ValueError(f"{name}: it has no X, no .raw and no layers; put raw counts into X")
    if options.counts_layer is not None:
        return chosen_by_user(found, options, name)
    counts = [c for c in found if is_primary(c) and holds_counts(c.finding)]
    if not counts:
        counts = [c for c in found if not is_primary(c) and counts_of(c, found)]
    if counts and options.values in (None, "counts"):
        return best_counts(counts, found, name)
    recovered = [c for c in found if is_primary(c) and c.finding.kind == "counts"]
    if recovered and options.values in (None, "counts"):
        return from_logs(recovered[0])
    logs = [c for c in found if c.finding.kind == "lognorm"]
    if logs and options.values in (None, "lognorm"):
        return best_logs(logs, found)
    return on_the_users_word(found, options, name)


def chosen_by_user(found: list[Candidate], options: IntakeOptions, name: str) -> Choice:
    """The matrix of --counts-layer."""
    wanted = str(options.counts_layer)
    exact = [c for c in found if c.option == wanted] or [
        c for c in found if plain(c.option) == plain(wanted)
    ]
    if not exact:
        there = ", ".join(c.option for c in found)
        raise LookupError(f"{name} has no {wanted!r} for --counts-layer; there are: {there}")
    candidate = exact[0]
    if candidate.finding.kind in ("counts", "lognorm") and options.values in (
        None,
        candidate.finding.kind,
    ):
        return Choice(candidate, candidate.finding, notes=tuple(scale_notes(candidate)))
    return on_the_users_word([candidate], options, name)


# ---- counts ------------------------------------------------------------------------------------


def best_counts(counts: list[Candidate], found: list[Candidate], name: str) -> Choice:
    """Of several matrices of counts the one with the whole library of each cell."""
    best = max(counts, key=lambda c: round(float(c.seen.totals.sum()), 3))
    notes = []
    for other in counts:
        if other is best:
            continue
        more = other.seen.totals > best.seen.totals * (1 + 1e-6)
        if more.mean() > 0.01:
            raise ValueError(
                f"{name}: {best.source} and {other.source} hold different counts, and neither has"
                f" the larger total in all cells; choose with --counts-layer {best.option} or"
                f" --counts-layer {other.option}"
            )
        lost = 1 - float(other.seen.totals.sum() / best.seen.totals.sum())
        if lost > 1e-6:
            notes.append(
                f"counts are from {best.source}; {other.source} holds others whose totals are"
                f" {lost:.1%} smaller (--counts-layer {other.option} chooses them)"
            )
    notes += disagreements(best, found, name)
    library = None
    if logged := whole_library(best, found):
        library, source = logged
        notes.append(
            f"{best.source} holds the counts of chosen genes only; the total of each cell is"
            f" that from which {source} was scaled"
        )
    notes += unused_notes(best, found)
    return Choice(best, best.finding, library, (*scale_notes(best), *notes))


def disagreements(best: Candidate, found: list[Candidate], name: str) -> Iterator[str]:
    """Notes on logarithms in X or .raw that were made from other values than these counts.

    Raises ValueError where the counts of some cells are missing that have values there.
    """
    for other in found:
        if other is best or other.source not in ("X", ".raw") or other.finding.kind != "lognorm":
            continue
        missing = int(((best.seen.nonzero == 0) & (other.seen.nonzero > 0)).sum())
        if missing:
            raise ValueError(
                f"{name}: {best.source} has no counts of {missing:,} cells that {other.source} has"
                f" values of; fill them in, remove the cells, or add --counts-layer {other.option}"
            )
        base, same = other.finding.log_base, best.var.index.equals(other.var.index)
        if base is not None and same and not proportional(best, other, base):
            yield (
                f"{other.source} is no logarithm of the counts in {best.source}: it was made from"
                " other values, or its cells are in another order"
            )


def whole_library(best: Candidate, found: list[Candidate]) -> tuple[np.ndarray, str] | None:
    """Library of each cell by a logarithm of the same counts, where that had more genes.

    With one total per cell T, (base**X - 1) / counts is T / library in all genes of a cell.
    """
    for other in found:
        if other is best or other.source not in ("X", ".raw"):
            continue
        if not best.var.index.equals(other.var.index) or other.finding.kind == "counts":
            continue
        base = other.finding.log_base
        if base is None or other.finding.complete or not proportional(best, other, base):
            continue
        sums = best.seen.totals
        unit = np.divide(other.seen.sums[base], sums, out=np.zeros(len(sums)), where=sums > 0)
        target = other.finding.target or target_of(unit[unit > 0])
        if target is None:
            continue
        library = np.divide(target, unit, out=np.zeros(len(sums)), where=unit > 0)
        if np.median(library[sums > 0] / sums[sums > 0]) > 1.005:
            return np.maximum(library, sums), other.source
    return None


def proportional(counts: Candidate, logs: Candidate, base: float) -> bool:
    """Whether undoing a logarithm gives the counts times one number in each cell."""
    checked = 0
    for cell, (genes, values) in counts.seen.sample.items():
        other_genes, logged = logs.seen.sample[cell]
        if len(genes) < 2:
            continue
        if not np.array_equal(genes, other_genes):
            return False
        ratio = np.expm1(logged * np.log(base)) / values
        if np.abs(ratio / np.median(ratio) - 1).max() > 0.02:
            return False
        checked += 1
    return checked >= 3


def counts_of(layer: Candidate, found: list[Candidate]) -> bool:
    """Whether a layer of another name holds the counts from which X or .raw was made."""
    if not holds_counts(layer.finding):
        return False
    for other in found:
        base = other.finding.log_base
        comparable = is_primary(other) and layer.var.index.equals(other.var.index)
        if comparable and base and proportional(layer, other, base):
            return True
    return False


def from_logs(candidate: Candidate) -> Choice:
    """Counts of which only the logarithm is there."""
    note = (
        f"{candidate.source} holds {candidate.finding.scale} and was never scaled per cell; the"
        " logarithm is undone to get counts (if SCTransform corrected them, give the raw counts)"
    )
    return Choice(candidate, candidate.finding, notes=(note,))


# ---- logarithms --------------------------------------------------------------------------------


def best_logs(logs: list[Candidate], found: list[Candidate]) -> Choice:
    """Of several matrices of logarithms X, or .raw where that has more genes."""
    best = next((c for c in logs if c.source == "X"), logs[0])
    raw = next((c for c in logs if c.source == ".raw"), None)
    if raw is not None and raw.seen.n_genes > best.seen.n_genes:
        best = raw
    return Choice(best, best.finding, notes=(*scale_notes(best), *unused_notes(best, found)))


def scale_notes(candidate: Candidate) -> Iterator[str]:
    """Notes on the scale of the values, where they are changed."""
    finding = candidate.finding
    if finding.note:
        yield f"{candidate.source} {finding.note}"
    if finding.kind == "counts" and not finding.exact and finding.log_base is None:
        yield f"{candidate.source} holds whole numbers but for small errors; they are rounded"
    if finding.kind != "lognorm" or finding.log_base is None or finding.target is None:
        return
    usual = np.isclose(finding.log_base, np.e) and finding.target == 1e4
    if not usual:
        yield (
            f"{candidate.source} holds {finding.scale}; it is rescaled to ln(1 + counts per 10,000)"
        )
    stated = candidate.stated_base
    if stated is not None and not np.isclose(stated, finding.log_base):
        yield (
            f"uns['log1p'] states base {stated:.4g}, but the values of {candidate.source} are of"
            f" base {finding.log_base:.4g}, which is taken"
        )


def unused_notes(best: Candidate, found: list[Candidate]) -> Iterator[str]:
    """Notes on matrices that seem to hold counts but are not taken."""
    for other in found:
        if other is best or "finding" not in other.__dict__:
            continue
        if other.named_counts and not holds_counts(other.finding):
            reason = other.finding.reason or f"holds {other.finding.scale}"
            yield f"{other.source} is not used: it {reason.split(';')[0]}"
        elif holds_counts(other.finding) and not holds_counts(best.finding):
            yield (
                f"{other.source} holds whole numbers and is not used; --counts-layer"
                f" {other.option} takes them as counts"
            )


# ---- the user's word ---------------------------------------------------------------------------


def on_the_users_word(found: list[Candidate], options: IntakeOptions, name: str) -> Choice:
    """Values that cannot be recognised, taken as --values says. Raises ValueError without it."""
    word = options.values or options.fallback
    usable = [c for c in found if c.finding.kind != "unusable"]
    preferred = ("X", ".raw")
    if word in ("counts", "linear") and not any(holds_counts(c.finding) for c in found):
        usable.sort(key=lambda c: not (c.named_counts and c.finding.kind == "unclear"))
    first = next(
        (c for c in usable if c.named_counts or c.source in preferred),
        usable[0] if usable else None,
    )
    if first is None or word is None:
        if layers := [c for c in found if not is_primary(c) and holds_counts(c.finding)]:
            raise ValueError(refusal_beside(layers, found, name))
        shown = first or found[[c.source for c in found].index("X") if has_x(found) else 0]
        raise ValueError(refusal(shown, name))
    known = first.finding
    if known.clear and word != known.kind and (known.kind, word) != ("counts", "linear"):
        raise ValueError(
            f"{name}: {first.source} holds {known.scale}, so --values {word} cannot be right;"
            " leave the option out, or choose another matrix with --counts-layer"
        )
    base = known.log_base or first.stated_base
    if word == "lognorm":
        taken = replace(known, kind="lognorm", reason="", log_base=base or np.e, target=None)
    elif word == "linear":
        taken = Finding("linear", target=known.target)
    else:
        taken = Finding("counts", exact=first.seen.exact)
    return Choice(first, taken, notes=(word_note(first, taken, options),))


def has_x(found: list[Candidate]) -> bool:
    return any(c.source == "X" for c in found)


def word_note(candidate: Candidate, taken: Finding, options: IntakeOptions) -> str:
    """Note on values that were taken on the user's word."""
    by = f"--values {options.values}" if options.values else "the data set's declaration"
    if taken.kind == "counts":
        how = "rounded to whole numbers" if not taken.exact else "used as counts"
    elif taken.kind == "linear":
        how = "scaled to 10,000 per cell and logged"
    else:
        how = "used as logarithms of scaled counts"
        if candidate.seen.largest * np.log(taken.log_base or np.e) > np.log1p(1e4):
            how += f" (values up to {candidate.seen.largest:.3g} are of more than 10,000 per cell)"
    return f"{candidate.source} is {how}, as {by} says"


def refusal_beside(layers: list[Candidate], found: list[Candidate], name: str) -> str:
    """Sentence on a file whose counts may be in layers, of which no name tells it."""
    shown = next((c for c in found if is_primary(c) and c.source == "X"), None)
    shown = shown or next((c for c in found if is_primary(c)), None)
    reason = f"{shown.source} {refused_reason(shown).split(';')[0]}, and " if shown else ""
    names, first = " and ".join(c.source for c in layers), layers[0].option
    return (
        f"{name}: {reason}{names} may hold raw counts, but no name tells it; choose with"
        f" --counts-layer {first!r}"
    )


def refused_reason(candidate: Candidate) -> str:
    """Reason why a matrix cannot be taken."""
    return candidate.finding.reason or f"holds {candidate.finding.scale}"


def refusal(candidate: Candidate, name: str) -> str:
    """Sentence on a matrix that cannot be taken."""
    reason = refused_reason(candidate)
    if ";" in reason:  # it names its own way out
        return f"{name}: {candidate.source} {reason}"
    if candidate.finding.kind == "unusable":
        return f"{name}: {candidate.source} {reason}; {COUNTS_WAY}"
    return f"{name}: {candidate.source} {reason}; {COUNTS_WAY}, {VALUES_WAY}"
