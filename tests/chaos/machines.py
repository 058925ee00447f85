"""What is killed: a Ray of several nodes, PostgreSQL, an MLflow server; and how."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from trainables.leases import born

HERE = Path(__file__).parent
QUICK = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 4,
}
"""A node that does not answer is given up after about ten seconds."""


def until(holds, seconds=600.0, what="it"):
    """What `holds()` gives, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds:g} s"
        time.sleep(0.05)
    return found


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listens(port):
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def stat(pid):
    """The fields of a process after its name; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid):
    return bool(born(pid))


def parent(pid):
    fields = stat(pid)
    return int(fields[1]) if fields else None


def children(pid):
    pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    return [other for other in pids if parent(other) == pid]


def killed(pid):
    """Kill a process, if it is there; whether it was."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


class Nodes:
    """A Ray with a head that runs no trials and two nodes that run one at a time."""

    def __init__(self, environment):
        self.folder = tempfile.mkdtemp(prefix="ray")  # short: Ray makes sockets in it
        # its own folder also for the file in which Ray notes its newest cluster: others read theirs
        own = {**os.environ, **environment, "RAY_TMPDIR": self.folder, "RAY_AUTH_MODE": "disabled"}
        self.host = subprocess.Popen(
            [sys.executable, HERE / "cluster_host.py", json.dumps(QUICK)],
            env=own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.address = self.answer()
        self.raylets = [self.add(), self.add()]

    def answer(self):
        line = self.host.stdout.readline()
        assert line, "the cluster's host has ended"
        return json.loads(line)

    def told(self, words):
        self.host.stdin.write(words + "\n")
        self.host.stdin.flush()
        return self.answer()

    def add(self):
        return self.told("add")

    def replace(self, raylet):
        """Another node in the place of one that is dead."""
        self.raylets.remove(raylet)
        self.told(f"remove {raylet}")
        self.raylets.append(self.add())

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.host.stdin.close()
        self.host.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres:
    """A PostgreSQL of its own, as a user that is not root, which it refuses to run as."""

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="postgres"))
        self.port, self.process = free_port(), None
        self.user = {}
        if os.getuid() == 0:
            self.user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.home, "nobody", "nogroup")
        self.data = self.home / "data"
        self.call("initdb", "-D", self.data, "-U", "mlflow", "-A", "trust", "-E", "UTF8", "-N")
        self.url = f"postgresql+pg8000://mlflow@127.0.0.1:{self.port}/postgres"

    @staticmethod
    def absent():
        """Why there is none, or ""."""
        for program in ("initdb", "postgres"):
            if shutil.which(program) is None:
                return f"no {program} on this machine"
        return "" if find_spec("pg8000") else "no pg8000 here"

    def call(self, *words):
        quiet = {"stdout": subprocess.DEVNULL, "cwd": self.home, **self.user}
        subprocess.run(list(map(str, words)), check=True, **quiet)

    def start(self):
        """Start it, if it does not run; after a kill what was left of the old one goes first."""
        if self.process is not None and self.process.poll() is None:
            return

        def started():
            words = ["postgres", "-D", self.data, "-p", self.port, "-k", "", "-F", "-h"]
            self.process = subprocess.Popen(
                [*map(str, words), "127.0.0.1"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.home,
                start_new_session=True,
                **self.user,
            )
            until(lambda: listens(self.port) or self.process.poll() is not None)
            time.sleep(0.2)  # it ends at once where the old one's children are still about
            return self.process.poll() is None

        until(started, what="PostgreSQL")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # fast shutdown: its children go with it
            self.process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)


class Tracking:
    """An MLflow server."""

    def __init__(self, folder, backend=None):
        self.folder, self.port, self.process = folder, free_port(), None
        self.backend = backend or f"sqlite:///{folder}/tracking.db"
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self, wait=True):
        """Start it, if it does not run; it gives up where its database does not answer."""
        if self.process is None or self.process.poll() is not None:
            words = ["--backend-store-uri", self.backend, "--port", str(self.port)]
            words += ["--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,
            )
        if wait:
            until(self.answers, what="the MLflow server")

    def answers(self):
        self.start(wait=False)
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=5).status == 200
        except OSError:
            return False

    def kill(self):
        """Kill it with the workers that it started."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    close = kill


def skip_unless_linux():
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks up processes in /proc")
