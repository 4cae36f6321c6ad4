"""The pods of a MiniCluster: their logs, and commands in them."""

from __future__ import annotations

import codecs
from typing import Any, Iterator, List, Optional, Sequence

import yaml
from kubernetes import client
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL

from . import errors

#: Label of the pods of a MiniCluster; its value is the name.
NAME_LABEL = "hpa-selector"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"

#: The agent of a pod, which runs flux commands with the environment and the user of the broker.
AGENT = "/opt/minicluster/bin/minicluster-agent"


def of(core: client.CoreV1Api, namespace: str, name: str) -> List[client.V1Pod]:
    """Returns the pods of a MiniCluster, in the order of their indexes."""
    found = core.list_namespaced_pod(namespace, label_selector=f"{NAME_LABEL}={name}")
    return sorted(found.items, key=lambda pod: int((pod.metadata.labels or {}).get(INDEX_LABEL, "0")))


def lead(core: client.CoreV1Api, namespace: str, name: str) -> client.V1Pod:
    """Returns the newest pod of index 0."""
    found = core.list_namespaced_pod(namespace, label_selector=f"{NAME_LABEL}={name},{INDEX_LABEL}=0")
    if not found.items:
        raise errors.MiniClusterError(f"MiniCluster {name} has no lead pod")
    return max(found.items, key=lambda pod: str(pod.metadata.creation_timestamp))


def log(
    core: client.CoreV1Api, pod: client.V1Pod, container: str, follow: bool, tail: Optional[int]
) -> Iterator[str]:
    """Yields the lines of a log."""
    options: dict[str, Any] = {"container": container, "follow": follow, "_preload_content": False}
    if tail is not None:
        options["tail_lines"] = tail
    response = core.read_namespaced_pod_log(pod.metadata.name, pod.metadata.namespace, **options)
    decoder, pending = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
    try:
        for data in response.stream(decode_content=False):
            *lines, pending = (pending + decoder.decode(data)).split("\n")
            yield from lines
        if pending:
            yield pending
    finally:
        response.release_conn()


def flux(api: client.ApiClient, pod: client.V1Pod, container: str, args: Sequence[str]) -> str:
    """Runs a flux command in a pod and returns its output."""
    # stream replaces a method of the client for the time of the call, so it gets a client of its own.
    core = client.CoreV1Api(client.ApiClient(api.configuration))
    connection = stream(
        core.connect_get_namespaced_pod_exec, pod.metadata.name, pod.metadata.namespace,
        container=container, command=[AGENT, "flux", "--", *args],
        stdin=False, stdout=True, stderr=True, tty=False, _preload_content=False,
    )
    stdout, stderr = [], []
    while connection.is_open():
        connection.update(timeout=1)
        stdout.append(connection.read_stdout() if connection.peek_stdout() else "")
        stderr.append(connection.read_stderr() if connection.peek_stderr() else "")
    code = _exit_code(connection.read_channel(ERROR_CHANNEL))
    connection.close()
    if code != 0:
        raise errors.CommandError(["flux", *args], code, "".join(stderr))
    return "".join(stdout)


def _exit_code(status: str) -> int:
    """Returns the exit code in the status that ends a command; -1 if the connection broke before."""
    ended = yaml.safe_load(status) if status else None
    if not ended:
        return -1
    if ended.get("status") == "Success":
        return 0
    for cause in (ended.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    return -1
