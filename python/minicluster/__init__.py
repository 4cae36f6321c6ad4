"""MiniClusters from Python: create, wait, scale, suspend, submit jobs, read logs and events.

    from minicluster import Client, MiniClusterContainer, MiniClusterSpec

    spec = MiniClusterSpec(
        size=2, max_size=4, interactive=True,
        containers=[MiniClusterContainer(image="rockylinux:9")],
    )
    with Client().create("sample", spec) as cluster:
        cluster.wait_ready(timeout=600)
        print(cluster.run("-N2", "hostname"))
        cluster.scale(4)
"""

from .client import Client, to_document
from .cluster import Cluster, Event, State
from .errors import (
    CommandError,
    Deleted,
    Failed,
    Finished,
    MiniClusterError,
    ScaleRejected,
    WaitTimeout,
)
from .types import *  # noqa: F401,F403 - every class of the API

__version__ = "0.1.0"
