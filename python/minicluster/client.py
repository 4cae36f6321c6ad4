"""The entry to a cluster: which API server, which namespace."""

from __future__ import annotations

import os
import socket
from typing import Any, Dict, List, Optional

from kubernetes import client, config

from ._fields import to_dict
from .cluster import GROUP, PLURAL, VERSION, Cluster
from .types import API_VERSION, MiniClusterSpec

NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


class Client:
    """Creates and finds the MiniClusters of a namespace.

    In a pod, it uses the pod's service account and namespace; outside, the kubeconfig (KUBECONFIG,
    or ~/.kube/config) and the namespace of its context.
    """

    def __init__(
        self,
        namespace: Optional[str] = None,
        context: Optional[str] = None,
        api_client: Optional[client.ApiClient] = None,
    ) -> None:
        found = None
        if api_client is None:
            configuration = client.Configuration()
            found = _configure(configuration, context)
            api_client = client.ApiClient(configuration)
        self.api_client = api_client
        self.namespace: str = namespace or found or "default"
        self.custom = client.CustomObjectsApi(api_client)
        self.core = client.CoreV1Api(api_client)

    def create(
        self,
        name: str,
        spec: MiniClusterSpec,
        labels: Optional[Dict[str, str]] = None,
        annotations: Optional[Dict[str, str]] = None,
    ) -> Cluster:
        """Creates a MiniCluster. As a context manager, the result is deleted at the end."""
        body = to_document(name, spec, labels, annotations)
        created = self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, body)
        return Cluster(self, name, created["metadata"]["uid"])

    def get(self, name: str) -> Cluster:
        """Returns a MiniCluster that exists."""
        found = self.custom.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, name)
        return Cluster(self, name, found["metadata"]["uid"])

    def list(self, label_selector: str = "") -> List[Cluster]:
        """Returns the MiniClusters of the namespace."""
        found = self.custom.list_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURAL, label_selector=label_selector
        )
        return [Cluster(self, item["metadata"]["name"], item["metadata"]["uid"]) for item in found["items"]]

    def own(self) -> Cluster:
        """Returns the MiniCluster of the pod in which this program runs: its host name is NAME-INDEX."""
        host = os.environ.get("HOSTNAME") or socket.gethostname()
        name, _, index = host.rpartition("-")
        if not name or not index.isdigit():
            raise ValueError(f"host name {host!r} is not that of a pod of a MiniCluster")
        return self.get(name)


def to_document(
    name: str,
    spec: MiniClusterSpec,
    labels: Optional[Dict[str, str]] = None,
    annotations: Optional[Dict[str, str]] = None,
) -> Dict[str, Any]:
    """Returns the document of a MiniCluster, as in a file."""
    metadata: Dict[str, Any] = {"name": name}
    if labels:
        metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": API_VERSION, "kind": "MiniCluster", "metadata": metadata, "spec": to_dict(spec)}


def _configure(configuration: client.Configuration, context: Optional[str]) -> Optional[str]:
    """Fills the configuration, and returns the namespace that belongs to it."""
    if context is None and "KUBECONFIG" not in os.environ and os.path.exists(NAMESPACE_FILE):
        config.load_incluster_config(client_configuration=configuration)
        with open(NAMESPACE_FILE, encoding="utf-8") as file:
            return file.read().strip()
    config.load_kube_config(context=context, client_configuration=configuration)
    contexts, active = config.list_kube_config_contexts()
    chosen = next((c for c in contexts if c["name"] == context), active) if context else active
    namespace: Optional[str] = chosen["context"].get("namespace")
    return namespace
