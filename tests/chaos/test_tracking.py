"""A tracking server that loses replies, that answers late, or not at all."""

import socket
import threading
from contextlib import contextmanager

import pytest

from orchestrator.execute import execute
from orchestrator.manifests import write_manifest
from orchestrator.mirroring import Mirroring
from orchestrator.planning import plan
from orchestrator.sweep import Sweep
from orchestrator.tracking import Syncer
from tests.chaos.test_schedules import mirrored_runs


@pytest.fixture
def recorded(request, tmp_path):
    """Three trials on record, in a sweep named after the test."""
    name = request.node.name
    sweep = Sweep(
        "tracked", "annotation", {"mean": {}}, datasets=["toy"], seeds=range(3), name=name
    )
    planned = plan(sweep, tmp_path)
    write_manifest(tmp_path, planned.manifest())
    for trial in planned.trials:
        execute(trial, tmp_path, code_version="test")
    return name, [trial.id for trial in planned.trials]


@contextmanager
def served(answer):
    """A server on a port of its own that calls `answer(connection)` in a thread for each."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def whole(connection):
    """One HTTP request, to be the connection's only one."""
    text = b""
    while b"\r\n\r\n" not in text:
        if not (more := connection.recv(65536)):
            return b""
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    told = dict(line.lower().split(b":", 1) for line in lines[1:])
    while len(body) < int(told.get(b"content-length", 0)):
        body += connection.recv(65536)
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


def loses(which, port):
    """What stands between client and server, and drops the reply to the first such request."""
    lost = []

    def answer(connection):
        with connection, socket.create_connection(("127.0.0.1", port)) as server:
            request, reply = whole(connection), b""
            server.sendall(request)
            while more := server.recv(65536):
                reply += more
            if which in request.partition(b"\r\n")[0] and not lost:
                lost.append(reply)
                return
            connection.sendall(reply)

    return answer, lost


@pytest.mark.parametrize("which", ["runs/create", "experiments/create", "runs/update"])
def test_a_lost_reply_makes_no_second_run(which, tracking, recorded, tmp_path):
    name, trials = recorded
    answer, lost = loses(which.encode(), tracking.port)
    with served(answer) as uri:
        syncer = Syncer(tmp_path, name, uri)
        with pytest.raises(Exception, match=r"Max retries|Connection"):
            syncer.sync()
        assert b"200 OK" in lost[0], "the server did what it was asked"
        syncer.sync()
    assert mirrored_runs(tracking.uri, name) == dict.fromkeys(trials, 1)


def test_a_run_that_a_server_makes_late_is_deleted(tracking, recorded, tmp_path):
    name, trials = recorded
    syncer = Syncer(tmp_path, name, tracking.uri)
    syncer.sync()
    client = syncer.client()
    experiment = client.get_experiment_by_name(name).experiment_id
    late = client.create_run(experiment, tags={"trial_id": trials[0]})
    Syncer(tmp_path, name, tracking.uri).sync()
    assert mirrored_runs(tracking.uri, name) == dict.fromkeys(trials, 1)
    assert client.get_run(late.info.run_id).info.lifecycle_stage == "deleted"


def test_a_server_that_never_answers_is_asked_once_and_not_again_at_the_end(
    recorded, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    name, _ = recorded
    asked, over = [], threading.Event()

    def answer(connection):
        asked.append(connection)
        over.wait(60)

    with served(answer) as uri:
        mirroring = Mirroring(Syncer(tmp_path, name, uri), every=0.1)
        with mirroring:
            while not asked:
                over.wait(0.05)
    assert "timed out" in mirroring.trouble.lower()
    assert len(asked) == 1
    over.set()
