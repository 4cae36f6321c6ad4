"""Errors of this package. Those of the API server are the official client's ApiException."""

from __future__ import annotations

from typing import Sequence


class MiniClusterError(Exception):
    """The base of all errors of this package."""


class Failed(MiniClusterError):
    """The work of the MiniCluster has failed, or the controller does not accept its spec."""


class Finished(MiniClusterError):
    """The work of the MiniCluster has ended, so it does not become what was waited for."""


class Deleted(MiniClusterError):
    """The MiniCluster was deleted."""


class ScaleRejected(MiniClusterError):
    """The controller has rejected the size, or another client has changed it."""


class WaitTimeout(MiniClusterError, TimeoutError):
    """The MiniCluster did not become what was waited for in time."""


class CommandError(MiniClusterError):
    """A command in the lead pod has ended with another exit code than 0."""

    def __init__(self, command: Sequence[str], exit_code: int, stderr: str) -> None:
        self.command, self.exit_code, self.stderr = list(command), exit_code, stderr
        text = f"{' '.join(command)}: exit code {exit_code}"
        super().__init__(f"{text}: {stderr.strip()}" if stderr.strip() else text)
