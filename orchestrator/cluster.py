"""A sweep as a job of a Ray cluster elsewhere: shipped, followed, stopped."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.manifests import slug
from orchestrator.version import CODE_VERSION, code_version

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ROOMS = ("trainables", "orchestrator", "search_spaces", "analysis")
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
STARTING_S, STOPPING_S = 90.0, 60.0
NO_STORAGE = (
    "this cluster sets no GAUNTLET_STORAGE; submit with --storage s3://BUCKET/PREFIX, or FOLDER"
    " that its nodes share"
)


@dataclass(frozen=True)
class Jobs:
    """The jobs of one cluster that are ours."""

    client: JobSubmissionClient
    address: str

    def submit(self, sweep: str, words: Sequence[str], storage: str | None) -> str:
        """Ship our four packages and the sweep's file, start `gauntlet run`, and give its name.

        `words` follow the sweep's name. The hash of what was shipped is part of the code version
        in every record. Raises LookupError for a sweep that nobody knows.
        """
        with staged(sweep) as (folder, shipped, here):
            name = f"{slug(named(sweep))}-{uuid.uuid4().hex[:6]}"
            command = ["run", here, *words, "--address", "auto"]
            if storage is not None:
                command += ["--storage", storage]
            variables = {CODE_VERSION: shipped} | credentials()
            return self.submit_patiently(
                entrypoint=entrypoint(command, storage),
                submission_id=name,
                runtime_env={"working_dir": str(folder), "env_vars": variables},
                metadata={"sweep": named(sweep), "code_version": shipped},
            )

    def submit_patiently(self, **job: Any) -> str:
        """Hand in a job, asking again while a young head has not started its part that takes jobs.

        Raises ValueError when it still has not after `STARTING_S`.
        """
        deadline = time.monotonic() + STARTING_S
        while True:
            try:
                with line_to(self.address):
                    return self.client.submit_job(**job)
            except RuntimeError as error:
                if "No available agent" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise ValueError(
                        f"the cluster at {self.address} takes no jobs yet; try again in a minute."
                        " Where another Ray runs on its head, start this one with"
                        " --dashboard-agent-listen-port=0"
                    ) from None
                time.sleep(1)

    def all(self) -> list[dict[str, Any]]:
        """What is known of our jobs, the newest first."""
        with line_to(self.address):
            known = self.client.list_jobs()
        ours = [job for job in known if (job.metadata or {}).get("sweep")]
        return [facts(job) for job in sorted(ours, key=lambda job: -(job.start_time or 0))]

    def find(self, name: str) -> dict[str, Any]:
        """A job by its name, or the newest of a sweep by the sweep's. Raises LookupError."""
        known = self.all()
        for key in ("job", "sweep"):
            for job in known:
                if job[key] == name:
                    return job
        there = ", ".join(job["job"] for job in known) or "none"
        raise LookupError(f"{self.address} has no job {name!r}; it has: {there}")

    def logs(self, name: str) -> str:
        """All that a job has printed so far."""
        job = self.find(name)["job"]
        with line_to(self.address):
            return self.client.get_job_logs(job)

    def follow(self, name: str, say: Any) -> str:
        """Hand on what a job prints until it ends, and give how it ended."""
        job = self.find(name)["job"]

        async def tail() -> None:
            async for lines in self.client.tail_job_logs(job):
                say(lines)

        with line_to(self.address):
            asyncio.run(tail())
        return self.find(job)["status"]

    def cancel(self, name: str) -> dict[str, Any]:
        """Stop a job, wait until it has, and give what is known of it; one that ended stays so."""
        job = self.find(name)
        if job["status"] in ENDED:
            return job
        with line_to(self.address):
            self.client.stop_job(job["job"])
        deadline = time.monotonic() + STOPPING_S
        while job["status"] not in ENDED and time.monotonic() < deadline:
            time.sleep(0.2)
            job = self.find(job["job"])
        return job


def connect(address: str) -> Jobs:
    """The jobs of the cluster whose dashboard is at `address`, such as http://127.0.0.1:8265.

    The token is that of RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token. Raises ValueError
    where no cluster answers, or where it does not take the token.
    """
    import logging

    import requests

    if not address.startswith(("http://", "https://")):
        raise ValueError(f"--address {address} is no address of a cluster's dashboard;"
                         " write http://HEAD:8265")  # fmt: skip
    sent = {"Authorization": f"Bearer {token}"} if (token := own_token()) else {}
    try:
        answer = requests.get(f"{address.rstrip('/')}/api/version", headers=sent, timeout=10)
    except requests.exceptions.RequestException:
        raise ValueError(
            f"no Ray cluster answers at {address}; start it (ray up cluster.yaml), and from a"
            " laptop open the tunnel first: ssh -N -L 8265:127.0.0.1:8265 USER@HEAD"
        ) from None
    if answer.status_code in (401, 403):
        which = "does not take this token" if sent else "wants a token and there is none here"
        raise ValueError(
            f"the cluster at {address} {which}; copy the cluster's ~/.ray/auth_token here, with"
            " mode 600, or set RAY_AUTH_TOKEN"
        )
    if not answer.ok:
        raise ValueError(f"{address} answers {answer.status_code}, as no Ray dashboard would;"
                         " check host and port")  # fmt: skip
    try:
        from ray.job_submission import JobSubmissionClient

        # after the import, which sets levels of its own: what matters we say ourselves
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)
        with line_to(address):
            return Jobs(JobSubmissionClient(address, headers=sent), address)
    except (ImportError, RuntimeError) as error:
        if "ray[default]" not in str(error):
            raise
        raise ValueError(
            "Ray's jobs want more of Ray: pip install 'sc-gauntlet[cluster]'"
        ) from None


@contextmanager
def line_to(address: str) -> Iterator[None]:
    """A conversation with a cluster. Raises ValueError when the connection drops."""
    try:
        yield
    except Exception as error:
        if not dropped(error):
            raise
        raise ValueError(
            f"the connection to {address} was lost; a job that had arrived there goes on. Open the"
            " tunnel again if there is one, then look: gauntlet status --address " + address
        ) from None


def dropped(error: Exception) -> bool:
    """Whether an error says that a connection is gone: requests' and most of aiohttp's are
    OSErrors, and Ray has words of its own for a stream."""
    stream = type(error).__module__.startswith("aiohttp") or "WebSocket" in str(error)
    return isinstance(error, OSError) or stream


def own_token() -> str:
    """The token that Ray itself would use, or ""."""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = token_file()
    return path.read_text().strip() if path.exists() else ""


def token_file() -> Path:
    """Where the token is kept."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def credentials() -> dict[str, str]:
    """The user and password for MLflow that are set here. The cluster's jobs show them to whoever
    has its token, who may run code there anyway."""
    return {name: os.environ[name] for name in CREDENTIALS if os.environ.get(name)}


def entrypoint(command: Sequence[str], storage: str | None) -> str:
    """The shell line of a job; without a storage from here, the cluster must name one."""
    guard = "" if storage else f": ${{GAUNTLET_STORAGE:?{shlex.quote(NO_STORAGE)}}}; "
    return f"{guard}exec python -m orchestrator.cli {shlex.join(command)}"


def named(sweep: str) -> str:
    """The sweep's name, which for a file is the file's."""
    return Path(sweep).stem if sweep.endswith(".py") else sweep


@contextmanager
def staged(sweep: str) -> Iterator[tuple[Path, str, str]]:
    """A temporary folder with what a job needs of us, its code version, and the sweep as named
    there: our packages as they are imported here, and the sweep's own file if it has one. Nothing
    else travels: no data, no caches, no runs."""
    from orchestrator.known_sweeps import find_sweep

    find_sweep(sweep)
    here = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory(prefix="gauntlet-ship-") as draft:
        folder = Path(draft)
        for room in ROOMS:
            leave = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
            shutil.copytree(here / room, folder / room, ignore=leave)
        if sweep.endswith(".py"):  # in a folder of its own, where it hides no module
            (folder / "sweep").mkdir()
            shutil.copy(sweep, folder / "sweep")
            sweep = f"sweep/{Path(sweep).name}"
        own = code_version()
        glue = "." if "+" in own else "+"
        yield folder, f"{own}{glue}sha256.{digest(folder)[:16]}", sweep


def digest(folder: Path) -> str:
    """The sha256 of all files under a folder: their names, lengths and bytes."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def refuse_relative(sweep: str, changes: Mapping[str, Any]) -> None:
    """Raise ValueError for a hyperparameter that names a file by a relative path.

    The job starts in a folder of Ray's, so such a path would lead nowhere.
    """
    from orchestrator.known_sweeps import find_sweep

    if paths := find_sweep(sweep).changed(changes).relative_paths():
        raise ValueError(
            f"the cluster cannot see {paths[0]}; copy it to the folder that its machines share, and"
            " give that absolute path"
        )


def on_the_cluster(data: Path, storage: str | None) -> str:
    """A `--data` path as the cluster will open it.

    Raises ValueError where only this machine can see the file: for a relative path, and for a file
    that is here while the storage is not.
    """
    cannot = (
        f"the cluster cannot see {data}; copy it to its shared folder (scp {data} HEAD:/SHARED/)"
    )
    if not data.is_absolute():
        raise ValueError(f"{cannot}, and give that absolute path to --data")
    if data.exists() and storage is not None and not Path(storage).exists():
        raise ValueError(f"{cannot}: it is on this machine, and the storage {storage} is not")
    return str(data)


def facts(job: Any) -> dict[str, Any]:
    """A job for eyes and programs."""
    return {
        "job": job.submission_id,
        "sweep": job.metadata["sweep"],
        "status": str(getattr(job.status, "value", job.status)),
        "started": moment(job.start_time),
        "ended": moment(job.end_time),
        "code_version": job.metadata["code_version"],
        "message": " ".join((job.message or "").split())[:200],
    }


def moment(millis: int | None) -> str:
    """Ray's milliseconds as a time in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(millis / 1000)) if millis else ""
