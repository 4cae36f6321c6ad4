"""An application that changes the size of the MiniCluster in which it runs.

It needs Kubernetes' Python client only. Outside of a pod it uses the kubeconfig, and HOSTNAME says
which pod it pretends to be.
"""

import os
import time

from kubernetes import client, config

GROUP, VERSION, PLURAL = "flux-framework.org", "v1alpha1", "miniclusters"
NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


def load_namespace():
    """Configures the client, and returns the namespace of the pod."""
    if os.path.exists(NAMESPACE):
        config.load_incluster_config()
        with open(NAMESPACE, encoding="utf-8") as file:
            return file.read()
    config.load_kube_config()
    return config.list_kube_config_contexts()[1]["context"]["namespace"]


namespace = load_namespace()
miniclusters, core = client.CustomObjectsApi(), client.CoreV1Api()

# A pod of MiniCluster NAME has the host name NAME-INDEX.
host = os.environ["HOSTNAME"]
name = host.rsplit("-", 1)[0]


def list_pods():
    found = core.list_namespaced_pod(
        namespace, label_selector=f"hpa-selector={name}", field_selector="status.phase=Running"
    )
    return found.items


def wait_for_pods(size):
    while len(list_pods()) != size:
        time.sleep(1)


def show():
    spec = miniclusters.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)["spec"]
    print(f"\n   size: {spec['size']}\nmaxSize: {spec['maxSize']}\nWho is out there?")
    for pod in list_pods():
        print(f"{pod.status.pod_ip:15} {namespace} {pod.metadata.name}", flush=True)


def resize(size):
    """Merges a size into the MiniCluster, and waits until there are so many pods."""
    print(f"\nI ask for {size}.", flush=True)
    patch = {"spec": {"size": size}}
    miniclusters.patch_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name, patch)
    wait_for_pods(size)
    show()


print(f"I run on {host}. Which MiniCluster of namespace {namespace} is mine?")
for one in miniclusters.list_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL)["items"]:
    print(one["metadata"]["name"] + (": this one" if one["metadata"]["name"] == name else ""), flush=True)
wait_for_pods(2)
show()

resize(4)
resize(3)

print("\nDone.")
