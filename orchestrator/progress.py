"""What a running sweep shows: done, running, failed, the best so far, and when it will end."""

from __future__ import annotations

import time
from collections import Counter

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from orchestrator.records import WELL, Record
from trainables.trial import Trial

console = Console()


class Progress:
    """A bar in a terminal; a line every so often where nobody sits before one."""

    every = 15.0
    """Seconds between lines where the output is not a terminal."""

    def __init__(self) -> None:
        self.done = self.failed = self.running = self.total = 0
        self.best = self.about = ""
        self.highest = float("-inf")
        self.said = time.monotonic()
        self.started: float | None = None
        """When the first trial began: starting Ray says nothing about how long trials take."""
        columns = (
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("to go"),
            TimeRemainingColumn(),
        )
        self.bar = Bars(BarColumn(bar_width=None), *columns, console=console)
        self.live = Live(console=console, refresh_per_second=4, transient=True)

    def close(self) -> None:
        """Take the bar away; what was printed stays."""
        self.live.stop()

    def note(self, text: str) -> None:
        """Something the reader should know before the run."""
        console.print(f"[yellow]note[/yellow]  {text}")

    def begin(
        self, trials: list[Trial], missing: list[Trial], left_out: int = 0, unable: int = 0
    ) -> None:
        """Say how much there is to do; a sweep that adds seeds begins several times.

        `unable`: number of trials whose model lacks something on this machine.
        """
        self.done = self.failed = self.running = 0
        self.started = None
        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        self.total = len(missing)
        known = len(trials) - len(missing) - left_out - unable
        others = f", {left_out} left out by --only" if left_out else ""
        others += f", {unable} cannot run here" if unable else ""
        self.about = Counter(trial.task for trial in missing).most_common(1)[0][0]
        console.print(
            f"[bold]{len(trials)} trials[/bold]: {known} known, {len(missing)} to run{others}",
            highlight=False,
        )
        console.print("starting Ray ...", style="dim")
        self.task = self.bar.add_task("trials", total=len(missing))

    def watch(self, what: str, trial: Trial, record: Record | None) -> None:
        """One trial started or ended."""
        now = time.monotonic()
        if self.started is None:
            self.started = now
            if console.is_terminal:
                self.live.start()
        if record is None:
            self.running += 1
        else:
            self.running -= 1
            self.done += 1
            self.failed += record["status"] not in WELL
            self.remember(trial, record)
        self.bar.update(self.task, completed=self.done)
        self.live.update(Group(self.bar, self.state()))
        over = self.done == self.total
        if not console.is_terminal and record and (over or now - self.said > self.every):
            self.said, seconds = now, now - self.started
            left = seconds / self.done * (self.total - self.done)
            line = f"{self.done}/{self.total} {self.state()}  {seconds:.0f} s, {left:.0f} s to go"
            console.print(line, highlight=False, soft_wrap=True)

    def remember(self, trial: Trial, record: Record) -> None:
        """Keep the best value seen, on valid where there is one: test is for the report."""
        if trial.task != self.about:
            return  # the pretraining that others start from
        metrics = record["metrics"]
        shown = [m for m in ("valid/macro_f1", "avg_bio") if m in metrics] or list(metrics)[:1]
        for metric in shown:
            sign = -1 if record.get("better", {}).get(metric) == "lower" else 1
            if sign * metrics[metric] > self.highest:
                self.highest = sign * metrics[metric]
                share = f", {trial.fraction:.0%} of labels" if trial.fraction < 1 else ""
                self.best = f"; best {metric} {metrics[metric]:.3f}, {trial.shown}{share}"

    def state(self) -> str:
        """Counts and the best so far."""
        failed = f", [red]{self.failed} failed[/red]" if self.failed else ", 0 failed"
        return f"{max(self.running, 0)} running{failed}{self.best}"
