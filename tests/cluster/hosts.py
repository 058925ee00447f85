"""Pretended machines on one: each has network, processes, mounts and an sshd of its own.

They need root, and undo themselves: what they mount, run and name is gone when they are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
NET = "10.77.0"
TOOLS = ("ip", "unshare", "nsenter", "ssh", "ssh-keygen", "rsync", "ss", "sshd")
PATH = f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MASKED = ("/tmp", "/mnt", "/run", "/dev/shm")


def lacking() -> str:
    """Why no machines can be pretended here, or ""."""
    if os.geteuid() != 0:
        return "pretending machines needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if absent:
        return f"pretending machines needs {', '.join(absent)}"
    for place in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        if str(place.resolve()).startswith(MASKED):
            return f"{place} would not be seen by pretended machines, which have their own /tmp"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.strip()}"


@dataclass(frozen=True)
class Host:
    """One pretended machine."""

    name: str
    address: str
    process: subprocess.Popen[bytes]

    @property
    def first(self) -> int:
        """The machine's first process, as this machine numbers it."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def command(self, line: str, **environment: str) -> list[str]:
        """A shell line, as the user `lab` types it there."""
        own = {"HOME": "/mnt/home", "USER": "lab", "PATH": PATH, "LANG": "C.UTF-8", "COLUMNS": "96"}
        words = [f"{key}={value}" for key, value in {**own, **environment}.items()]
        enter = ["nsenter", "-t", str(self.first), "-m", "-u", "-i", "-n", "-p"]
        return [*enter, "env", "-i", *words, "bash", "-c", f"cd; {line}"]

    def run(
        self, line: str, *, check: bool = True, timeout: float = 200, **environment: str
    ) -> str:
        """What a shell line prints there, errors included. Raises AssertionError if it fails."""
        done = subprocess.run(
            self.command(line, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{self.name}$ {line}\n{done.stdout}"
        return done.stdout


@contextlib.contextmanager
def hosts(work: Path, *names: str) -> Iterator[list[Host]]:
    """Machines of these names on one wire, in the order 10.77.0.1, .2, ...; `work` is the folder
    that all of them see as /mnt/work."""
    mark = f"gauntlet{os.getpid()}"
    spaces = [f"{mark}-{name}" for name in names]
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / "key"], check=True)
    lines = [f"{NET}.{n} {name}\n" for n, name in enumerate(names, 1)]
    (work / "hosts").write_text("".join(lines))
    made: list[Host] = []
    try:
        for n, (name, space) in enumerate(zip(names, spaces, strict=True), 1):
            wire(space, spaces[0], n)
            made.append(Host(name, f"{NET}.{n}", start(name, space, work)))
        for host in made:
            wait_for_ssh(host, work)
        yield made
    finally:
        for host in made:
            with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
                os.kill(host.first, signal.SIGKILL)  # and with it all of that machine
            host.process.kill()
            host.process.wait()
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def wire(space: str, first: str, n: int) -> None:
    """A network of its own for a machine, joined to the first machine's bridge."""

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    ip("netns", "add", space)
    if space == first:
        ip("-n", space, "link", "add", "eth0", "type", "bridge")
    else:
        ip("-n", first, "link", "add", f"to{n}", "type", "veth", "peer", "eth0", "netns", space)
        ip("-n", first, "link", "set", f"to{n}", "master", "eth0", "up")
    ip("-n", space, "addr", "add", f"{NET}.{n}/24", "dev", "eth0")
    ip("-n", space, "link", "set", "eth0", "up")


def start(name: str, space: str, work: Path) -> subprocess.Popen[bytes]:
    """Switch a machine on."""
    apart = ["--mount", "--pid", "--fork", "--mount-proc", "--uts", "--ipc", "--kill-child"]
    words = ["ip", "netns", "exec", space, "unshare", *apart]
    words += ["bash", str(HERE / "host.sh"), name, str(work), str(ROOT), sys.prefix]
    log = (work / f"{name}.log").open("wb")
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait_for_ssh(host: Host, work: Path) -> None:
    """Wait until a machine answers on its port 22."""
    deadline = time.monotonic() + 600
    while True:
        up = host.process.poll() is None
        with contextlib.suppress(IndexError, FileNotFoundError, AssertionError):
            if up and host.run("ss -Hltn 'sport = :22'"):
                return
        log = (work / f"{host.name}.log").read_text()
        assert up, f"{host.name} did not start: {log}"
        assert time.monotonic() < deadline, f"{host.name} takes no ssh: {log}"
        time.sleep(0.1)
