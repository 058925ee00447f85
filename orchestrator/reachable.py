"""Checks of what is elsewhere: MLflow, a cluster, and whether their clocks agree with ours."""

from __future__ import annotations

import os
import socket
import time
from email.utils import parsedate_to_datetime
from typing import Any

Check = dict[str, Any]

MOST_SKEW_S = 5.0
"""Clocks further apart than this put times into records that contradict each other."""
PATIENCE_S = 10.0
SET_CLOCKS = "set both clocks: timedatectl set-ntp true, or install chrony"


def check(name: str, ok: bool, found: Any, advice: str) -> Check:
    """One finding; the advice is kept only where it is needed."""
    return {"check": name, "ok": ok, "found": str(found), "advice": "" if ok else advice}


def clock(of: str, ahead: float) -> Check:
    """How far a clock is ahead of ours, in seconds."""
    return check(
        f"clock of {of}", abs(ahead) <= MOST_SKEW_S, f"{round(ahead, 1) + 0:+} s", SET_CLOCKS
    )


# ---- MLflow --------------------------------------------------------------------------------------


def tracking(uri: str | None) -> list[Check]:
    """An MLflow server answers us, takes our password, and has our time. A database needs no
    server, so there is nothing to ask."""
    if uri is None or not uri.startswith(("http://", "https://")):
        return [check("mlflow server", True, uri or "none: SQLite in the storage", "")]
    from mlflow.exceptions import MlflowException

    sent = time.time()
    try:
        answer = asked(uri, "/api/2.0/mlflow/experiments/search?max_results=1")
    except MlflowException:
        advice = (
            "start it, or from a laptop open the tunnel: ssh -N -L 5000:127.0.0.1:5000 USER@HEAD;"
            " a sweep does not wait for it: gauntlet sync mirrors later"
        )
        return [check("mlflow server", False, f"{uri} does not answer", advice)]
    status = answer.status_code
    found = f"{uri} answers {status}"
    if status == 200:
        found = f"{uri}, MLflow {asked(uri, '/version').text.strip()[:20]}"
    checks = [check("mlflow server", status == 200, found, refusal(uri, answer))]
    if "Date" in answer.headers:  # it has whole seconds, and was written after we asked
        there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        late = max(0.0, sent - 1 - there)
        checks.append(clock("mlflow", -late or max(0.0, there - time.time())))
    return checks


def asked(uri: str, what: str) -> Any:
    """A server's answer to our MLflow client: with its password, certificates and so on."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    own = get_default_host_creds(uri.rstrip("/"))
    return http_request(own, what, "GET", max_retries=0, timeout=PATIENCE_S, raise_on_status=False)


def refusal(uri: str, answer: Any) -> str:
    """What to do where an MLflow server did not answer as it should."""
    from mlflow.utils.credentials import read_mlflow_creds

    if answer.status_code == 401:
        known = read_mlflow_creds().username
        which = f"it does not take the password of {known!r}" if known else "it wants a password"
        return (
            f"{which}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or write them"
            " into ~/.mlflow/credentials"
        )
    if answer.status_code == 403 and "host" in answer.text.lower():
        return f"it refuses to be called by this name; start it with --allowed-hosts for {uri}"
    if answer.status_code == 403:
        return "this user may not read experiments; ask who runs it"
    return "no MLflow would say that; check host and port"


# ---- a cluster -----------------------------------------------------------------------------------


def cluster(address: str | None) -> list[Check]:
    """Our token, and a cluster that takes it: its dashboard (http://...), or Ray itself."""
    if address is None:
        return []
    by = through_the_dashboard if address.startswith(("http://", "https://")) else as_a_driver
    return [token(), by(address)]


def token() -> Check:
    """The token is here, and nobody else on this machine can read it."""
    from orchestrator.cluster import own_token, token_file

    if not own_token():
        advice = "copy the cluster's ~/.ray/auth_token here, with mode 600, or set RAY_AUTH_TOKEN"
        return check("ray token", False, "none", advice)
    if os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return check("ray token", True, "RAY_AUTH_TOKEN", "")
    path = token_file()
    mode = path.stat().st_mode & 0o777
    found = f"{path}, mode {mode:o}"
    return check("ray token", not mode & 0o077, found, f"others can read it: chmod 600 {path}")


def through_the_dashboard(address: str) -> Check:
    """The way of `gauntlet submit`."""
    from orchestrator.cluster import connect, line_to

    try:
        jobs = connect(address)
        with line_to(address):
            jobs.client.list_jobs()
    except ValueError as error:
        return check("cluster", False, address, str(error))
    return check("cluster", True, f"{address}, {len(jobs.all())} jobs of ours", "")


def as_a_driver(address: str) -> Check:
    """The way of `gauntlet run --address`."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():  # Ray itself would try for a minute
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
        except OSError as error:
            advice = "start Ray there, and check host, port and firewall; a laptop wants http://..."
            return check("cluster", False, f"{address}: {error.strerror or error}", advice)
    from orchestrator.launch import connected

    import ray  # isort: skip  (after launch, which sets what Ray reads when it is imported)
    from ray.exceptions import RayError  # isort: skip

    try:
        with connected(address):
            machines = sum(node["Alive"] for node in ray.nodes())
            cores, gpus = (ray.cluster_resources().get(what, 0) for what in ("CPU", "GPU"))
    except (RayError, RuntimeError, ConnectionError, ValueError) as error:
        why = str(error).strip().split("\n")[0]
        advice = (
            "only a machine of the cluster can join it, with its token and RAY_AUTH_MODE=token;"
            " from elsewhere use gauntlet submit"
        )
        return check("cluster", False, f"{address}: {why}", advice)
    found = f"{address}, {machines} machines, {cores:g} CPU, {gpus:g} GPU"
    return check("cluster", True, found, "")
