"""The methods of a MiniCluster, with a real API server and controller; the pods are simulated."""

import os
import unittest
from unittest import mock

from kubernetes import client

import minicluster

from .server import PATIENCE, ServerTest, sample


class ClusterTest(ServerTest):
    def test_life(self) -> None:
        with self.client.create("life", sample(2, 4), labels={"team": "climate"}) as cluster:
            state = cluster.wait_ready(PATIENCE)
            self.assertEqual((2, 4), (state.spec.size, state.status.maximum_size))
            self.assertTrue(state.is_true("Accepted"))

            state = cluster.scale(4, timeout=PATIENCE)
            self.assertEqual((4, 4), (state.status.size, state.status.ready_size))
            self.assertEqual(["0", "1", "2", "3"], [index(pod) for pod in cluster.pods()])
            self.assertTrue(cluster.lead().metadata.name.startswith("life-0-"))

            with self.assertRaisesRegex(minicluster.ScaleRejected, "size 5 was rejected"):
                cluster.scale(5, timeout=PATIENCE)
            self.assertEqual(3, cluster.scale(3, timeout=PATIENCE).status.size)

            self.assertIn("ScaleRejected", [event.reason for event in cluster.events()])
            self.assertEqual(["life"], [c.name for c in self.client.list("team=climate")])
            self.assertEqual(cluster.uid, self.client.get("life").uid)
        with self.assertRaises(minicluster.Deleted):
            cluster.read()
        cluster.delete()

    def test_events_are_followed(self) -> None:
        with self.client.create("events", sample(1, 2)) as cluster:
            cluster.wait_ready(PATIENCE)
            cluster.scale(7, wait=False)
            for event in cluster.events(follow=True, timeout=PATIENCE):
                if event.reason == "ScaleRejected":
                    break
            else:
                self.fail("no event about the rejection")

    def test_suspension_without_state(self) -> None:
        with self.client.create("forgetful", sample(1, 2)) as cluster:
            cluster.wait_ready(PATIENCE)
            state = cluster.suspend(timeout=PATIENCE)
            self.assertTrue(state.stopped)
            self.assertFalse(state.ready)
            self.assertEqual("NothingKept", condition(state, "Hibernated").reason)
            self.assertEqual([], [pod for pod in cluster.pods() if not pod.metadata.deletion_timestamp])
            self.assertTrue(cluster.resume(timeout=PATIENCE).ready)

    def test_hibernation(self) -> None:
        spec = sample(1, 2)
        spec.archive = minicluster.FluxArchive(path="/state/archive.tar")
        with self.client.create("winter", spec) as cluster:
            cluster.wait_ready(PATIENCE)
            state = cluster.suspend(timeout=PATIENCE)
            self.assertTrue(state.is_true("Hibernated"))
            # What the simulated agent says that it has saved.
            self.assertEqual(3, state.status.hibernation.jobs.pending)
            state = cluster.patch({"maxSize": 3, "size": 3})
            state = cluster.resume(timeout=PATIENCE)
            self.assertEqual((3, 3), (state.status.size, state.status.maximum_size))

    def test_invalid_spec(self) -> None:
        with self.assertRaises(client.ApiException) as refused:
            self.client.create("invalid", minicluster.MiniClusterSpec(size=1))
        self.assertEqual(422, refused.exception.status)

    def test_timeout(self) -> None:
        with self.client.create("timeout", sample(1, 2)) as cluster:
            with self.assertRaisesRegex(TimeoutError, "Complete was not met in 0.1 s"):
                cluster.wait_complete(timeout=0.1)

    def test_recreated(self) -> None:
        first = self.client.create("again", sample(1, 1))
        first.delete(timeout=PATIENCE)
        with self.client.create("again", sample(1, 1)) as second:
            with self.assertRaisesRegex(minicluster.Deleted, "created again"):
                first.read()
            first.delete()
            second.read()

    def test_own(self) -> None:
        with self.client.create("own-cluster", sample(1, 1)) as cluster:
            with mock.patch.dict(os.environ, {"HOSTNAME": "own-cluster-3"}):
                self.assertEqual(cluster.uid, self.client.own().uid)
            with mock.patch.dict(os.environ, {"HOSTNAME": "laptop"}):
                with self.assertRaisesRegex(ValueError, "laptop"):
                    self.client.own()


class InPod(ServerTest):
    """A client with the files that a pod has: token, certificate and namespace."""

    def test_account(self) -> None:
        account = os.environ["MINICLUSTER_TEST_ACCOUNT"]
        host, port = os.environ["MINICLUSTER_TEST_SERVER"].rsplit(":", 1)
        environment = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
        environment.update(KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=port)
        loader = "kubernetes.config.incluster_config"
        with mock.patch.dict(os.environ, environment, clear=True), \
                mock.patch("minicluster.client.NAMESPACE_FILE", f"{account}/namespace"), \
                mock.patch(f"{loader}.SERVICE_TOKEN_FILENAME", f"{account}/token"), \
                mock.patch(f"{loader}.SERVICE_CERT_FILENAME", f"{account}/ca.crt"):
            inside = minicluster.Client()
            self.assertEqual(self.namespace, inside.namespace)
            with self.client.create("inside", sample(1, 2)) as cluster:
                cluster.wait_ready(PATIENCE)
                self.assertEqual(2, inside.get("inside").scale(2, timeout=PATIENCE).status.size)
                with self.assertRaises(client.ApiException) as refused:
                    inside.get("another")
                self.assertEqual(403, refused.exception.status)


def condition(state: minicluster.State, kind: str) -> minicluster.Condition:
    found = state.condition(kind)
    assert found is not None, kind
    return found


def index(pod: client.V1Pod) -> str:
    return str(pod.metadata.labels["batch.kubernetes.io/job-completion-index"])


if __name__ == "__main__":
    unittest.main()
