"""Whether a cluster grows, by what Ray's monitor has written down."""

import json

import pytest
import ray
from ray.experimental import internal_kv

from hypercl.sweep.workers.private_ray import grows_on_demand

KUBERAY = {"Labels": {"ray.io/node-id": "ab", "ray.io/node-group": "gpu"}}
PLAIN = {"Labels": {"ray.io/node-id": "ab"}}


def status(**types: str) -> bytes:
    return json.dumps({"autoscaler_report": {"node_type_mapping": types}}).encode()


@pytest.mark.parametrize(
    ("written", "node", "grows"),
    [
        ({}, PLAIN, False),
        ({}, KUBERAY, False),  # of KubeRay too, a cluster may be fixed
        ({"__autoscaling_status": b'{"autoscaler_report": null}'}, PLAIN, False),
        ({"__autoscaling_status": status(ab="node_ab")}, PLAIN, False),
        ({"__autoscaling_status": status(ab="ray.head.default")}, PLAIN, True),
        ({"__autoscaler_v2_enabled": b"1"}, PLAIN, False),
        ({"__autoscaler_v2_enabled": b"1"}, KUBERAY, True),
        ({"__autoscaler_v2_enabled": b"0"}, KUBERAY, False),
    ],
)
def test_a_cluster_grows_where_an_autoscaler_knows_the_types_of_its_nodes(
    written: dict[str, bytes], node: dict[str, object], grows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internal_kv, "_internal_kv_get", written.get)
    monkeypatch.setattr(ray, "nodes", lambda: [node])
    assert grows_on_demand() is grows
