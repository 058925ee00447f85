"""A Ray of several nodes on this machine, in a process of its own, told what to do line by line.

python cluster_host.py SYSTEM_CONFIG; "add" starts a node and "remove PID" clears up after one,
named by its raylet; each answer is a line of JSON. The end of its input is its end.
"""

import json
import sys

from ray.cluster_utils import Cluster

SMALL = {"object_store_memory": 80_000_000}
TRIES = 10


def patiently(start):
    """What `start` gives: Ray gives a node thirty seconds, which is not much on a busy machine."""
    for left in reversed(range(TRIES)):
        try:
            return start()
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise


def raylet(node):
    """The process id of a node's raylet."""
    return node.all_processes["raylet"][0].process.pid


def main(system_config):
    """Serve until nobody writes any more."""
    answers, sys.stdout = sys.stdout, sys.stderr
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": system_config, **SMALL}
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    print(json.dumps(cluster.address), file=answers, flush=True)
    for line in sys.stdin:
        what, *which = line.split()
        answer = None
        if what == "add":
            answer = raylet(patiently(lambda: cluster.add_node(num_cpus=1, **SMALL)))
        else:
            for node in [n for n in cluster.worker_nodes if raylet(n) == int(which[0])]:
                cluster.remove_node(node, allow_graceful=False)
        print(json.dumps(answer), file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
