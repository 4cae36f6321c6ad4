"""What the tests with an API server have in common."""

import os
import unittest

import minicluster

#: Seconds that a test waits for something that happens soon.
PATIENCE = 120


def sample(size: int, max_size: int) -> minicluster.MiniClusterSpec:
    return minicluster.MiniClusterSpec(
        size=size,
        max_size=max_size,
        interactive=True,
        containers=[minicluster.MiniClusterContainer(image="flux:test")],
    )


class ServerTest(unittest.TestCase):
    """A test that needs an API server with the controller, and a namespace."""

    def setUp(self) -> None:
        self.namespace = os.environ.get("MINICLUSTER_TEST_NAMESPACE", "")
        if not self.namespace:
            self.skipTest("MINICLUSTER_TEST_NAMESPACE names no namespace; `go test ./test/integration/python` does")
        self.client = minicluster.Client(namespace=self.namespace)
