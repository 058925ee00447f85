"""Which Ray a run starts or joins: one of its own in a folder of its own, or the one it was given.

Imports no Ray: `launch` sets what Ray reads when it is imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from typing import Any

PATIENCE_S, ANSWER_S = 10.0, 60.0
"""Seconds for a connection to an address, and for Ray there to say its version; on a busy machine
the process that asks takes most of that to start."""
LONGEST_FOLDER = 40
"""Characters of a folder below which Ray's sockets still have names that Unix takes."""
WATCH_S = 0.2
ASKING = """
import json, sys
from ray._common.usage import usage_lib
from ray._raylet import GcsClient
print(json.dumps(usage_lib.get_cluster_metadata(GcsClient(address=sys.argv[1]))))
"""


@contextlib.contextmanager
def own_folder() -> Iterator[str]:
    """A folder for one Ray, gone afterwards, so that no other Ray is met by the name of a file."""
    base = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    usable = len(base) <= LONGEST_FOLDER or not os.access("/tmp", os.W_OK)
    folder = tempfile.mkdtemp(prefix="ray-", dir=base if usable else "/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_token_private() -> None:
    """Make Ray's token file, or see that nobody else can read it: Ray leaves it open to all."""
    from orchestrator.cluster import own_token, token_file

    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    with contextlib.suppress(OSError):  # another's file, or no home: Ray says what it cannot do
        path = token_file()
        if path.exists():
            path.chmod(0o600)
        elif not own_token():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(uuid.uuid4().hex)


def refuse_unlike(address: str) -> None:
    """Raise ValueError, in one sentence, where no Ray of our versions answers at an address."""
    import ray

    if (at := address_of(address)) is None:
        return
    told = metadata(at)
    for what, theirs, ours in (
        ("Python", told["python_version"], platform.python_version()),
        ("Ray", told["ray_version"], ray.__version__),
    ):
        if theirs != ours:
            raise ValueError(
                f"the cluster at {at} runs {what} {theirs} and this machine {ours}, which Ray does"
                f" not mix: install {what} {theirs} here, or {ours} on all machines of the cluster"
            )


def address_of(address: str) -> str | None:
    """HOST:PORT that an address means, if something listens there; None for Ray's other schemes.

    Raises ValueError where nothing does.
    """
    if "://" in address or address == "local":
        return None
    way = "start Ray there, and check host, port and firewall; from elsewhere use gauntlet submit"
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        at = canonicalize_bootstrap_address_or_die(address)
        host, _, port = at.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error).split(".")[0]
        raise ValueError(f"no Ray answers at --address {address} ({why}); {way}") from None
    return at


def metadata(at: str) -> dict[str, Any]:
    """Versions of the Ray at an address, asked by a process of its own: a wrong token or another
    kind of server may end the one that asks. Raises ValueError where none is told."""
    hurry = {"RAY_gcs_rpc_server_connect_timeout_s": "5"}
    command = [sys.executable, "-c", ASKING, at]
    try:
        done = subprocess.run(
            command,
            env=os.environ | hurry,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        return {key: found[key] for key in ("python_version", "ray_version")}
    except (subprocess.TimeoutExpired, ValueError, IndexError, KeyError, TypeError):
        raise ValueError(
            f"what listens at {at} does not answer as a Ray would that takes our token: check host"
            " and port, and set RAY_AUTH_MODE=token with the cluster's ~/.ray/auth_token (mode 600)"
        ) from None


@contextlib.contextmanager
def watched(node: Any) -> Iterator[None]:
    """End this process, in one sentence, as soon as a process of its own Ray has died.

    Ray itself would end it after a minute, with a page of its log.
    """
    over = threading.Event()
    running = {
        name.lower().replace("_", " "): info.process
        for name, infos in (node.all_processes if node is not None else {}).items()
        for info in infos
        if name in ("raylet", "gcs_server")
    }

    def watch() -> None:
        while not over.wait(WATCH_S):
            gone = [name for name, process in running.items() if process.poll() is not None]
            if gone and not over.is_set():
                sys.stderr.write(
                    f"gauntlet: Ray's {gone[0]} on this machine was ended from outside; what is"
                    " recorded stands, so run the same again to go on\n"
                )
                sys.stderr.flush()
                os.close(2)  # Ray's own last words
                if node is not None:
                    node.kill_all_processes(check_alive=False, allow_graceful=False)
                os._exit(1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
