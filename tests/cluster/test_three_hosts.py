"""From a laptop to three machines and back: `ray up`, submit, results, `ray down`, all for real.

With `-s` it prints what docs/cluster.md shows.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def neighbour(name: str):
    """A module beside this file; tests are no package."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


machines = neighbour("hosts")

SWEEP = """
from orchestrator import Sweep

SWEEP = Sweep(title="three machines", task="annotation", datasets=["toy"],
              models={"mean": {}, "logreg": {}}, seeds=range(6))
"""
TUNNEL = "ssh -N -L 8265:127.0.0.1:8265 -L 5000:127.0.0.1:5000"
QUIET_SSH = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
DASHBOARD, MLFLOW = "http://127.0.0.1:8265", "http://127.0.0.1:5000"
PASSWORD = (
    "export MLFLOW_TRACKING_USERNAME='gauntlet' MLFLOW_TRACKING_PASSWORD="
    "$(sed -n 's/^mlflow_tracking_password = //p' ~/.ray/mlflow_credentials)"
)
LOOPBACK = ("127.", "[::1]", "[::ffff:127.")


def rendered(database: str) -> str:
    """deploy/local.yaml with its three lines changed, and as little of this machine as will do."""
    text = (ROOT / "deploy/local.yaml").read_text()
    text = text.replace("10.0.0.1", f"{machines.NET}.2")
    text = text.replace("[10.0.0.2, 10.0.0.3]", f"[{machines.NET}.3, {machines.NET}.4]")
    text = text.replace("/shared/", "/mnt/work/shared/")
    text = re.sub(r"'postgresql.*'", f"'{database}'", text)
    return text.replace("ray start", "ray start --num-cpus=1 --object-store-memory=100000000")


def postgres(head) -> str:
    """Start PostgreSQL on the head's socket, as its distribution would; its address for MLflow."""
    found = subprocess.run(
        "command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -n 1",
        shell=True, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    if not found or importlib.util.find_spec("pg8000") is None:
        return "sqlite:////mnt/home/mlflow.db"
    bin = Path(found[0]).resolve().parent
    as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/mnt/pg"
    head.run(
        "mkdir /mnt/pg && chown nobody:nogroup /mnt/pg /run/postgresql && cd /mnt/pg &&"
        f" {as_nobody} {bin}/initdb -D /mnt/pg/data -A peer -E UTF8 --locale=C --no-sync &&"
        f" {as_nobody} {bin}/pg_ctl -D /mnt/pg/data -w -l /mnt/pg/log"
        " -o \"-c listen_addresses='' -c unix_socket_directories=/run/postgresql\" start &&"
        f" {as_nobody} {bin}/createuser -h /run/postgresql lab &&"
        f" {as_nobody} {bin}/createdb -h /run/postgresql -O lab mlflow"
    )
    return "postgresql+pg8000://lab@/mlflow?unix_sock=/var/run/postgresql/.s.PGSQL.5432"


@contextlib.contextmanager
def brought_up(work: Path, say: Callable[[str], None]) -> Iterator[SimpleNamespace]:
    """Three machines on which `ray up` has run, the laptop beside them with its tunnel open, and
    how to type on the laptop."""
    (work / "shared" / "gauntlet").mkdir(parents=True)
    with machines.hosts(work, "laptop", "head", "worker-1", "worker-2") as made:
        laptop, head, *_ = made
        (work / "three.py").write_text(SWEEP)
        (work / "local.yaml").write_text(rendered(postgres(head)))

        def typed(line: str, **options) -> str:
            started = time.perf_counter()
            printed = laptop.run(line.replace("ssh ", f"ssh {QUIET_SSH} "), **options)
            say(f"$ {line}\n{printed.rstrip()}\n[{time.perf_counter() - started:.0f} s]\n")
            return printed

        laptop.run("cp /mnt/work/{three.py,local.yaml} . && chmod 600 .ssh/id_ed25519")
        typed("bash ~/gauntlet/deploy/secrets.sh")
        typed("RAY_UP_enable_autoscaler_v2=0 ray up -y local.yaml")
        tunnel = subprocess.Popen(
            laptop.command(f"exec {TUNNEL} lab@head".replace("ssh ", f"ssh {QUIET_SSH} ")),
            stdin=subprocess.DEVNULL,
        )
        say(f"$ {TUNNEL} lab@head &\n")
        laptop.run(
            f"timeout 60 bash -c 'until curl -s {DASHBOARD} > /dev/null; do sleep 0.2; done'"
        )
        wait_for_nodes(laptop, 3)
        try:
            yield SimpleNamespace(hosts=made, typed=typed, laptop=laptop, head=head, work=work)
        finally:
            tunnel.kill()
            tunnel.wait()


def wait_for_nodes(laptop, wanted: int) -> None:
    """Wait until so many machines have joined."""
    bearer = '-H "Authorization: Bearer $(cat ~/.ray/auth_token)"'
    ask = f"curl -s {bearer} {DASHBOARD}/nodes?view=summary"
    deadline = time.monotonic() + 600
    alive = 0
    while alive < wanted:
        assert time.monotonic() < deadline, f"only {alive} machines joined"
        time.sleep(0.5)
        with contextlib.suppress(ValueError, KeyError):
            summary = json.loads(laptop.run(ask, check=False))["data"]["summary"]
            alive = sum(node["raylet"].get("state") == "ALIVE" for node in summary)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """The cluster, with a sweep that was submitted and followed to its end."""
    if not os.environ.get("GAUNTLET_THREE_HOSTS"):
        pytest.skip("takes two minutes; set GAUNTLET_THREE_HOSTS=1 to run it")
    if why := machines.lacking():
        pytest.skip(why)
    pytest.importorskip("aiohttp_cors", reason="jobs want ray[default]")
    with brought_up(tmp_path_factory.mktemp("hosts"), print) as cluster:
        to = f"--address {DASHBOARD}"
        cluster.typed(f"{PASSWORD}\ngauntlet doctor {to} --tracking-uri {MLFLOW}")
        cluster.followed = cluster.typed(f"gauntlet submit three.py {to} --follow")
        cluster.typed(f"gauntlet status {to}")
        yield cluster


def records(cluster) -> list[dict]:
    """What the sweep left in the shared folder."""
    found = (cluster.work / "shared/gauntlet/records").glob("*/*.json")
    return [json.loads(path.read_text()) for path in found]


def test_a_submitted_sweep_runs_on_all_three_machines(up):
    assert "SUCCEEDED" in up.followed
    left = records(up)
    assert {record["status"] for record in left} == {"ok"}
    assert len({record["trial_id"] for record in left}) == len(left) == 12
    assert set(Counter(record["hostname"] for record in left)) == {"head", "worker-1", "worker-2"}
    [job] = json.loads(up.laptop.run(f"gauntlet status three --address {DASHBOARD} --json"))
    assert {record["code_version"] for record in left} == {job["code_version"]}


def test_mlflow_has_every_trial_and_shows_it_to_who_has_the_password(up):
    line = f"gauntlet results three --source mlflow --tracking-uri {MLFLOW} --format csv"
    table = up.laptop.run(f"{PASSWORD}; {line} 2> /dev/null")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {row["trial_id"] for row in rows} == {record["trial_id"] for record in records(up)}
    what = f"{MLFLOW}/api/2.0/mlflow/experiments/get?experiment_id=0"
    asked = f"curl -s -o /dev/null -w '%{{http_code}}' '{what}'"
    assert up.laptop.run(asked) == "401"
    assert up.laptop.run(f"{asked} -u gauntlet:wrong") == "401"
    assert up.laptop.run(f'{PASSWORD}; {asked} -u "gauntlet:$MLFLOW_TRACKING_PASSWORD"') == "200"


def test_the_doctor_finds_the_cluster_well_and_a_stranger_turned_away(up):
    line = f"gauntlet doctor --address {DASHBOARD} --tracking-uri {MLFLOW} --json"
    found = {row["check"]: row for row in json.loads(up.laptop.run(f"{PASSWORD}; {line}"))}
    assert all(found[name]["ok"] for name in ("ray token", "cluster", "mlflow server"))
    told = up.laptop.run(f"RAY_AUTH_TOKEN_PATH=/nowhere {line}", check=False)
    rows = {row["check"]: row for row in json.loads(told[told.index("[\n") :])}
    assert "set MLFLOW_TRACKING_USERNAME" in rows["mlflow server"]["advice"]
    assert not rows["cluster"]["ok"]


def listening(host) -> dict[int, str]:
    """A machine's open ports, and whose they are."""
    found = {}
    for line in host.run("ss -Hltnp").splitlines():
        who = re.search(r'"([^"]+)"', line)
        found[int(line.split()[3].rpartition(":")[2])] = who[1] if who else "?"
    return found


def test_every_port_that_a_stranger_can_reach_refuses_him(up):
    token = up.laptop.run("cat ~/.ray/auth_token").strip()
    probe = f"{sys.executable} {HERE}/probe.py"
    refused = Counter()
    for host in up.hosts[1:]:
        ports = {port: who for port, who in listening(host).items() if port != 22}
        places = " ".join(f"{host.address}:{port}" for port in ports)
        strange = json.loads(up.laptop.run(f"{probe} {places}", timeout=600))
        known = json.loads(up.laptop.run(f"{probe} {places}", timeout=600, RAY_AUTH_TOKEN=token))
        for port, who in ports.items():
            told, welcome = (said[f"{host.address}:{port}"] for said in (strange, known))
            what = (host.name, port, who, told, welcome)
            print(*what)
            if told["speaks"] == "http":
                assert set(told["said"].values()) <= {401, 403}, what
                assert not set(welcome["said"].values()) & {401, 403}, what
            elif told["speaks"] == "grpc":
                assert set(told["said"].values()) <= {"UNAUTHENTICATED", "UNIMPLEMENTED"}, what
                assert "UNAUTHENTICATED" not in welcome["said"].values(), what
                refused["calls"] += list(told["said"].values()).count("UNAUTHENTICATED")
            if host is up.head and port in (5000, 8265):
                assert told["speaks"] == "nothing", what
            refused[told["speaks"]] += 1
    assert min(refused["http"], refused["grpc"], refused["calls"]) >= 3, refused


def test_ray_down_leaves_no_ray_behind(up):
    up.typed("RAY_UP_enable_autoscaler_v2=0 ray down -y local.yaml")
    deadline = time.monotonic() + 600  # the other machines notice that their head is gone
    while left := [host.name for host in up.hosts if host.run("pgrep raylet", check=False)]:
        assert time.monotonic() < deadline, f"Ray still runs on {left}"
        time.sleep(1)
    assert not up.head.run("pgrep gcs_server", check=False)
