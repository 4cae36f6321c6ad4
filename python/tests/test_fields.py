"""The dataclasses and their conversion: no API server."""

import unittest

from kubernetes import client

import minicluster
from minicluster._fields import from_dict, to_dict


class Fields(unittest.TestCase):
    def test_names_of_the_api(self) -> None:
        spec = minicluster.MiniClusterSpec(
            size=2,
            max_size=4,
            cleanup=False,
            containers=[
                minicluster.MiniClusterContainer(
                    image="rockylinux:9",
                    volumes={"data": minicluster.ContainerVolume(path="/data", claim_name="data")},
                )
            ],
            pod=minicluster.PodSpec(host_ipc=True),
        )
        want = {
            "size": 2,
            "maxSize": 4,
            "cleanup": False,
            "containers": [{"image": "rockylinux:9", "volumes": {"data": {"path": "/data", "claimName": "data"}}}],
            "pod": {"hostIPC": True},
        }
        self.assertEqual(want, to_dict(spec))
        self.assertEqual(spec, from_dict(minicluster.MiniClusterSpec, want))

    def test_types_of_kubernetes(self) -> None:
        limits = {"cpu": "2"}
        for resources in ({"limits": limits}, client.V1ResourceRequirements(limits=limits)):
            container = minicluster.MiniClusterContainer(resources=resources)
            self.assertEqual({"resources": {"limits": limits}}, to_dict(container))

    def test_fields_of_a_newer_api_are_left_out(self) -> None:
        status = from_dict(minicluster.MiniClusterStatus, {"size": 2, "newer": {"a": 1}})
        self.assertEqual(minicluster.MiniClusterStatus(size=2), status)

    def test_document(self) -> None:
        self.assertEqual(
            {
                "apiVersion": "flux-framework.org/v1alpha2",
                "kind": "MiniCluster",
                "metadata": {"name": "sample", "labels": {"team": "climate"}},
                "spec": {"size": 1},
            },
            minicluster.to_document("sample", minicluster.MiniClusterSpec(size=1), {"team": "climate"}),
        )
