"""The cluster files are what Ray and the shell take, and keep the doors shut."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
import yaml

from orchestrator.machines import GROWS

ROOT = Path(__file__).parent.parent
CLOUDS = ["cluster.yaml", "deploy/gcp.yaml"]
CLUSTERS = [*CLOUDS, "deploy/local.yaml"]


def prepared(path, **changes):
    """The configuration as `ray up` fills it in before it checks it."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config({**yaml.safe_load((ROOT / path).read_text()), **changes})


@pytest.mark.parametrize("path", CLUSTERS)
def test_rays_own_validator_takes_it(path):
    from ray.autoscaler._private.util import validate_config

    validate_config(prepared(path))
    with pytest.raises(Exception, match="nonsense"):
        validate_config(prepared(path, nonsense=1))


@pytest.mark.parametrize("path", CLUSTERS)
def test_ray_wants_the_token_mlflow_a_password_and_both_stay_on_loopback(path):
    config = prepared(path)
    head = config["head_start_ray_commands"]
    commands = [*head, *config["worker_start_ray_commands"]]
    starts = [command for command in commands if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in start for start in starts)
    assert all("RAY_enable_metrics_collection=0" in start for start in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert not any("0.0.0.0" in command for command in commands)
    assert [command for command in head if "mlflow" in command.split("MLFLOW")[0]] == head[1:2]
    assert head[1].startswith("bash ~/gauntlet/deploy/mlflow.sh 'postgresql")
    assert {"~/.ray/auth_token", "~/.mlflow/credentials"} <= set(config["file_mounts"])
    for command in [*commands, *config["setup_commands"]]:
        subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.mark.parametrize("path", CLOUDS)
def test_a_cloud_costs_nothing_while_idle_but_its_head_and_says_what_may_come(path):
    config = prepared(path)
    types = dict(config["available_node_types"])
    head = types.pop(config["head_node_type"])
    assert head["max_workers"] == 0
    assert config["idle_timeout_minutes"] <= 15
    assert all(kind["min_workers"] == 0 for kind in types.values())
    assert all("spot" in json.dumps(kind["node_config"]).lower() for kind in types.values())
    [told] = re.findall(f"{GROWS}='(.*?)'", " ".join(config["head_start_ray_commands"]))
    assert json.loads(told) == [kind["resources"] for kind in types.values()]
    text = (ROOT / path).read_text()
    for name in (config["head_node_type"], *types):
        assert re.search(rf"^  {name}: #.*USD an hour", text, re.MULTILINE), f"{name} costs what?"


def kubernetes():
    """The documents of deploy/kuberay.yaml, by kind and name."""
    documents = yaml.safe_load_all((ROOT / "deploy/kuberay.yaml").read_text())
    return {(d["kind"], d["metadata"]["name"]): d for d in documents}


def test_kuberays_cluster_is_as_we_mean_it():
    """No schema of KubeRay's is at hand here; docs/cluster.md says what was checked with it."""
    found = kubernetes()
    cluster = found["RayCluster", "gauntlet"]["spec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "gauntlet"}
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] <= 900
    head = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]
    workers = cluster["workerGroupSpecs"]
    assert all(group["minReplicas"] == group["replicas"] == 0 for group in workers)
    machines = []
    for group in workers:
        container = group["template"]["spec"]["containers"][0]
        assert container["image"] == head["image"]
        assert container["volumeMounts"] == head["volumeMounts"]
        limits = container["resources"]["limits"]
        gpus = {"GPU": int(limits["nvidia.com/gpu"])} if "nvidia.com/gpu" in limits else {}
        machines.append({"CPU": int(limits["cpu"]), **gpus})
    told = {one["name"]: one.get("value") for one in head["env"]}
    assert json.loads(told[GROWS]) == machines
    assert found["RayJob", "quickstart"]["spec"]["clusterSelector"] == {
        "ray.io/cluster": "gauntlet"
    }


def test_on_kubernetes_nothing_has_an_address_outside_and_mlflow_has_its_password():
    found = kubernetes()
    services = [d for (kind, _), d in found.items() if kind == "Service"]
    assert {service["spec"]["type"] for service in services} == {"ClusterIP"}
    assert found["RayCluster", "gauntlet"]["spec"]["headGroupSpec"]["serviceType"] == "ClusterIP"
    pod = found["Deployment", "gauntlet-mlflow"]["spec"]["template"]["spec"]
    postgres, mlflow = pod["containers"]
    assert postgres["args"] == ["-c", "listen_addresses=127.0.0.1"]
    assert mlflow["command"][2:4] == ["--app-name", "basic-auth"]
    secrets = {e["name"] for e in mlflow["env"] if "secretKeyRef" in e.get("valueFrom", {})}
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" in secrets
    assert (
        "auth_cache_ttl_seconds" in found["ConfigMap", "gauntlet-mlflow"]["data"]["basic_auth.ini"]
    )


def test_the_scripts_are_scripts():
    for path in (ROOT / "deploy").glob("*.sh"):
        subprocess.run(["bash", "-n", path], check=True)


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path):
    def made():
        words = ["bash", ROOT / "deploy/secrets.sh"]
        there = {"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        subprocess.run(words, check=True, capture_output=True, env=there)
        files = sorted((tmp_path / ".ray").iterdir())
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        return [path.read_text() for path in files]

    once = made()
    assert len(once[0].strip()) == 64
    assert "mlflow_tracking_password = " in once[1]
    assert made() == once


def asked(url, login=None):
    """The status that MLflow answers a client with."""
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/experiments/search?max_results=1")
    if login:
        request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_the_heads_mlflow_lets_in_only_who_has_the_password(guarded_mlflow):
    user, password = guarded_mlflow.login.values()
    assert asked(guarded_mlflow.url) == 401
    assert asked(guarded_mlflow.url, f"{user}:wrong") == 401
    assert asked(guarded_mlflow.url, f"{user}:{password}") == 200
    said = (guarded_mlflow.home / ".mlflow/basic_auth.ini").read_text()
    assert password not in said
    assert "auth_cache_ttl_seconds = 300" in said


def test_starting_the_heads_mlflow_again_starts_nothing_and_notices_another_password(
    guarded_mlflow,
):
    credentials = guarded_mlflow.home / ".mlflow/credentials"
    kept = credentials.read_text()
    assert "MLflow answers" in guarded_mlflow.start().stdout
    try:
        credentials.write_text(kept.replace("horse", "mule"))
        again = guarded_mlflow.start()
        assert again.returncode == 1
        assert "has another password" in again.stderr
        credentials.write_text("[mlflow]\n")
        assert "deploy/secrets.sh makes it" in guarded_mlflow.start().stderr
    finally:
        credentials.write_text(kept)
