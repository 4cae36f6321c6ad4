"""The requests that scripts for flux-operator make with the official client, unchanged.

They create with a dict or a file's content, wait by the phases of pods whose names begin with that
of the cluster, look for the pod that contains "-0", and resize with a patch.
"""

import time

from kubernetes import client

from .server import PATIENCE, ServerTest

GROUP, PLURAL = "flux-framework.org", "miniclusters"


class ScriptTest(ServerTest):
    def wait_for_pods(self, name: str, size: int) -> list:
        end = time.monotonic() + PATIENCE
        while True:
            pods = self.client.core.list_namespaced_pod(self.namespace, async_req=True).get()
            named = [p for p in pods.items if p.metadata.name.startswith(name) and not p.metadata.deletion_timestamp]
            if len(named) == size and all(p.status.phase in ("Running", "Succeeded") for p in named):
                return named
            self.assertLess(time.monotonic(), end, f"{len(named)} pods of {size}")
            time.sleep(0.2)

    def test_both_versions(self) -> None:
        api = self.client.custom
        for version in ("v1alpha1", "v1alpha2"):
            with self.subTest(version):
                name = f"script-{version}"
                body = {
                    "kind": "MiniCluster",
                    "apiVersion": f"{GROUP}/{version}",
                    "metadata": {"name": name, "namespace": self.namespace},
                    "spec": {
                        "size": 2,
                        "maxSize": 4,
                        "interactive": True,
                        "logging": {"quiet": True},
                        "network": {"headlessName": name},
                        "containers": [{"image": "flux:test", "command": "sleep infinity", "runFlux": True}],
                    },
                }
                created = api.create_namespaced_custom_object(
                    group=GROUP, version=version, namespace=self.namespace, plural=PLURAL, body=body
                )
                self.assertEqual(2, created["spec"]["size"])
                pods = self.wait_for_pods(name, 2)
                broker = next(p for p in pods if p.metadata.name.startswith(f"{name}-0"))
                self.assertEqual("Running", broker.status.phase)
                self.assertEqual(name, broker.spec.containers[0].name)

                # With spec.size in the object itself, which flux-operator's own tutorial does.
                api.patch_namespaced_custom_object(
                    GROUP, version, self.namespace, PLURAL, name, {"spec": {"size": 4}}
                )
                self.wait_for_pods(name, 4)
                # With the subresource, as an autoscaler.
                api.patch_namespaced_custom_object_scale(
                    GROUP, version, self.namespace, PLURAL, name, {"spec": {"replicas": 3}}
                )
                self.wait_for_pods(name, 3)
                found = api.get_namespaced_custom_object(GROUP, version, self.namespace, PLURAL, name)
                self.assertEqual((3, 4), (found["spec"]["size"], found["spec"]["maxSize"]))
                scale = api.get_namespaced_custom_object_scale(GROUP, version, self.namespace, PLURAL, name)
                self.assertEqual(f"hpa-selector={name}", scale["status"]["selector"])

                api.delete_namespaced_custom_object(
                    group=GROUP, version=version, namespace=self.namespace, plural=PLURAL, name=name,
                    body=client.V1DeleteOptions(),
                )
