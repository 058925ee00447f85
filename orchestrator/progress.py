"""What a running sweep shows: done, running, failed, the best so far, and when it will end."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from orchestrator.records import Record
from trainables.trial import Trial

console = Console()


class Progress:
    """A bar in a terminal; a line every so often where nobody sits before one."""

    every = 15.0
    """Seconds between lines where the output is not a terminal."""

    def __init__(self) -> None:
        self.done = self.failed = self.running = self.total = 0
        self.best: tuple[float, str] | None = None
        self.said = time.monotonic()
        self.started: float | None = None
        """When the first trial began: starting Ray says nothing about how long trials take."""
        columns = TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn()
        tail = TextColumn("{task.fields[state]}"), TimeElapsedColumn(), TimeRemainingColumn()
        self.bars = Bars(*columns, *tail, console=console)
        self.live = Live(self.bars, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.live.is_started:
            self.live.stop()

    def note(self, text: str) -> None:
        """Something the reader should know before the run."""
        console.print(f"[yellow]note[/yellow]  {text}")

    def begin(self, trials: list[Trial], missing: list[Trial]) -> None:
        """Say how much there is to do."""
        self.total = len(missing)
        known = len(trials) - len(missing)
        console.print(
            f"[bold]{len(trials)} trials[/bold]: {known} known, {len(missing)} to run",
            highlight=False,
        )
        self.bar = self.bars.add_task("trials", total=len(missing), state="starting Ray")
        if console.is_terminal:
            self.live.start()

    def watch(self, what: str, trial: Trial, record: Record | None) -> None:
        """One trial started or ended."""
        now = time.monotonic()
        self.started = self.started or now
        if record is None:
            self.running += 1
        else:
            self.running -= 1
            self.done += 1
            self.failed += record["status"] not in ("ok", "not_applicable")
            self.remember(trial, record)
        self.bars.update(self.bar, completed=self.done, state=self.state())
        over = self.done == self.total
        if not console.is_terminal and record and (over or now - self.said > self.every):
            self.said, seconds = now, now - self.started
            left = seconds / self.done * (self.total - self.done)
            line = f"{self.done}/{self.total} {self.state()}  {seconds:.0f} s, {left:.0f} s to go"
            console.print(line, highlight=False, soft_wrap=True)

    def remember(self, trial: Trial, record: Record) -> None:
        """Keep the best value seen, on valid where there is one: test is for the report."""
        metrics = record["metrics"]
        shown = [m for m in ("valid/macro_f1", "avg_bio") if m in metrics] or list(metrics)[:1]
        for metric in shown:
            value = metrics[metric]
            if self.best is None or value > self.best[0]:
                self.best = (
                    value,
                    f"{trial.model} {metric} {value:.3f} ({trial.fraction:g} of labels)",
                )

    def state(self) -> str:
        """Counts and the best so far."""
        failed = f", [red]{self.failed} failed[/red]" if self.failed else ", 0 failed"
        best = f"; best {self.best[1]}" if self.best else ""
        return f"{max(self.running, 0)} running{failed}{best}"
