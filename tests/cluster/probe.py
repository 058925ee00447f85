"""What a stranger on the network is told by every port of a machine: python probe.py HOST:PORT...

Run on another machine. Without RAY_AUTH_TOKEN it comes as a stranger, else as one who has it.
Prints one JSON object: for each port how it speaks and what it said.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys

import grpc

TOKEN = os.environ.get("RAY_AUTH_TOKEN", "")
PATHS = ("/api/version", "/api/jobs/", "/api/job_agent/jobs/", "/nodes?view=summary", "/metrics")
CALLS = (  # one call of each service of Ray; its health check says to all that it lives, no more
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.RayletDriver/ClusterInfo",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.LogService/ListLogs",
    "/ray.rpc.autoscaler.AutoscalerStateService/GetClusterStatus",
    "/ray.rpc.events.EventAggregatorService/AddEvents",
)

READS = 4
"""How many of these, the first, only read: one who is let in calls no others with an empty body."""


def over_http(host: str, port: int) -> dict[str, int]:
    """The status of each path, or nothing where no HTTP is spoken."""
    said = {}
    for path in PATHS:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
            connection.request("GET", path, headers=headers)
            said[path] = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return said
        finally:
            connection.close()
    return said


def over_grpc(host: str, port: int) -> dict[str, str]:
    """The status of each call, or nothing where no gRPC is spoken."""
    said = {}
    sent = [("authorization", f"Bearer {TOKEN}")] if TOKEN else []
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        for call in CALLS[:READS] if TOKEN else CALLS:
            ask = channel.unary_unary(call, lambda body: body, lambda body: body)
            try:
                ask(b"", timeout=5, metadata=sent)
                said[call] = "OK"
            except grpc.RpcError as error:
                said[call] = error.code().name
            if said[call] in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                return said if len(said) > 1 else {}
    return said


def main() -> None:
    found = {}
    for place in sys.argv[1:]:
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            found[place] = {"speaks": "nothing", "said": str(error)}
            continue
        if said := over_http(host, int(port)):
            found[place] = {"speaks": "http", "said": said}
        else:
            found[place] = {"speaks": "grpc", "said": over_grpc(host, int(port))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
