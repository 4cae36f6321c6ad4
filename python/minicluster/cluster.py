"""A MiniCluster that exists."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Type

from kubernetes import client, watch

from . import errors, pods
from ._fields import from_dict
from .types import Condition, MiniClusterSpec, MiniClusterStatus

if TYPE_CHECKING:
    from .client import Client

GROUP = "flux-framework.org"
VERSION = "v1alpha2"
PLURAL = "miniclusters"

#: Seconds between two reads of a MiniCluster that something waits for.
POLL_SECONDS = 0.5


@dataclass
class State:
    """A MiniCluster as it was read."""

    name: str
    uid: str
    generation: int
    spec: MiniClusterSpec
    status: MiniClusterStatus

    def condition(self, kind: str) -> Optional[Condition]:
        """Returns a condition, such as Ready, if the status has it."""
        return next((c for c in self.status.conditions or [] if c.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Reports whether a condition is true."""
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"

    @property
    def ready(self) -> bool:
        """Whether enough pods are ready for the cluster to work."""
        return self.is_true("Ready") and not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether there are no pods because the spec asks for none: it is suspended or hibernates."""
        condition = self.condition("Ready")
        return self.is_true("Ready") and condition is not None and condition.reason in ("Hibernated", "Suspended")

    @property
    def finished(self) -> bool:
        """Whether the work has ended."""
        return self.is_true("Complete") or self.is_true("Failed")

    @property
    def observed(self) -> bool:
        """Whether the status describes the present spec."""
        return (self.status.observed_generation or 0) >= self.generation


@dataclass
class Event:
    """An event about a MiniCluster."""

    time: Any
    type: str
    reason: str
    message: str


class Cluster:
    """A MiniCluster: what a person would do with kubectl, as methods.

    As a context manager, it deletes the MiniCluster at the end.
    """

    def __init__(self, owner: Client, name: str, uid: str) -> None:
        self.client, self.name, self.uid = owner, name, uid
        self.namespace: str = owner.namespace

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.delete()

    def __repr__(self) -> str:
        return f"Cluster({self.namespace}/{self.name})"

    # State

    def read(self) -> State:
        """Reads the MiniCluster."""
        try:
            found = self.client.custom.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, self.name
            )
        except client.ApiException as error:
            if error.status == 404:
                raise errors.Deleted(f"MiniCluster {self.name} does not exist") from error
            raise
        if found["metadata"]["uid"] != self.uid:
            raise errors.Deleted(f"MiniCluster {self.name} was deleted and created again")
        return _state(found)

    def patch(self, spec: Dict[str, Any]) -> State:
        """Merges fields into the spec, with their names in the API: {"minSize": 2}."""
        found = self.client.custom.patch_namespaced_custom_object(
            GROUP, VERSION, self.namespace, PLURAL, self.name, {"spec": spec}
        )
        return _state(found)

    def wait(
        self, done: Callable[[State], bool], what: str = "the condition", timeout: Optional[float] = None
    ) -> State:
        """Waits until a function of the state returns True. Without a timeout, in seconds, it waits forever.

        States whose status describes an older spec are skipped.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            state = self.read()
            if state.observed and done(state):
                return state
            if end is not None and time.monotonic() >= end:
                raise errors.WaitTimeout(
                    f"MiniCluster {self.name}: {what} was not met in {timeout:g} s: {_summary(state)}"
                )
            time.sleep(POLL_SECONDS)

    def wait_ready(self, timeout: Optional[float] = None) -> State:
        """Waits until the MiniCluster is ready, or complete. A failure is an error."""

        def ready(state: State) -> bool:
            _raise_failure(state)
            return state.ready or state.is_true("Complete")

        return self.wait(ready, "Ready", timeout)

    def wait_complete(self, timeout: Optional[float] = None) -> State:
        """Waits until the work has succeeded. A failure is an error."""

        def complete(state: State) -> bool:
            _raise_failure(state)
            return state.is_true("Complete")

        return self.wait(complete, "Complete", timeout)

    # Changes

    def scale(self, size: int, wait: bool = True, timeout: Optional[float] = None) -> State:
        """Changes the size, and waits until so many pods are ready.

        Before a MiniCluster shrinks, jobs on ranks that go run to their end. A size outside the
        bounds is an error.
        """
        state = self.patch({"size": size})
        if not wait:
            return state

        def scaled(state: State) -> bool:
            if state.spec.size != size:
                limited = state.condition("ScalingLimited")
                if limited is not None and limited.status == "True":
                    raise errors.ScaleRejected(limited.message)
                raise errors.ScaleRejected(f"another client changed the size to {state.spec.size}")
            if state.finished:
                raise errors.Finished(f"MiniCluster {self.name} has finished")
            return (state.status.size or 0) == size and (state.status.ready_size or 0) == size

        return self.wait(scaled, f"size {size}", timeout)

    def suspend(self, wait: bool = True, timeout: Optional[float] = None) -> State:
        """Suspends the MiniCluster, and waits until it has no pods.

        Running jobs get time to end, and the state is saved where the spec has a place for it: then
        the condition Hibernated is true.
        """
        state = self.patch({"suspend": True})
        if not wait:
            return state

        def suspended(state: State) -> bool:
            _raise_failure(state)
            return state.stopped

        return self.wait(suspended, "suspension", timeout)

    def resume(self, wait: bool = True, timeout: Optional[float] = None) -> State:
        """Resumes a suspended MiniCluster, and waits until it is ready."""
        state = self.patch({"suspend": False})
        return self.wait_ready(timeout) if wait else state

    def delete(self, wait: bool = True, timeout: Optional[float] = None) -> None:
        """Deletes the MiniCluster. That it is gone already is no error."""
        try:
            self.client.custom.delete_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, self.name,
                body=client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=self.uid)),
            )
            if wait:
                self.wait(lambda state: False, "the deletion", timeout)
        except errors.Deleted:
            return
        except client.ApiException as error:
            # Conflict: another MiniCluster has the name by now.
            if error.status not in (404, 409):
                raise

    # Pods and Flux

    def pods(self) -> List[client.V1Pod]:
        """Returns the pods, in the order of their indexes."""
        return pods.of(self.client.core, self.namespace, self.name)

    def lead(self) -> client.V1Pod:
        """Returns the newest pod of index 0, which runs the lead broker."""
        return pods.lead(self.client.core, self.namespace, self.name)

    def logs(
        self, follow: bool = False, container: Optional[str] = None, tail: Optional[int] = None
    ) -> Iterator[str]:
        """Yields the lines of the log of the lead pod, which has the output of the program."""
        return pods.log(self.client.core, self.lead(), container or self.name, follow, tail)

    def flux(self, *args: str) -> str:
        """Runs a flux command in the lead pod, as the user of the broker, and returns its output."""
        return pods.flux(self.client.api_client, self.lead(), self.name, args)

    def submit(self, *args: str) -> str:
        """Submits a job, with the options of flux submit before its command, and returns its ID."""
        return self.flux("submit", *args).strip()

    def run(self, *args: str) -> str:
        """Runs a job, with the options of flux run before its command, and returns its output."""
        return self.flux("run", *args)

    def output(self, job: str) -> str:
        """Waits for the end of a job, and returns its output."""
        return self.flux("job", "attach", job)

    def events(self, follow: bool = False, timeout: Optional[float] = None) -> Iterator[Event]:
        """Yields the events about the MiniCluster, oldest first; with follow also new ones."""
        selector = f"involvedObject.kind=MiniCluster,involvedObject.name={self.name}"
        found = self.client.core.list_namespaced_event(self.namespace, field_selector=selector)
        for item in sorted(found.items, key=_time):
            yield _event(item)
        if not follow:
            return
        options: Dict[str, Any] = {"resource_version": found.metadata.resource_version}
        if timeout is not None:
            options["timeout_seconds"] = max(1, int(timeout))
        for change in watch.Watch().stream(
            self.client.core.list_namespaced_event, self.namespace, field_selector=selector, **options
        ):
            if change["type"] in ("ADDED", "MODIFIED"):
                yield _event(change["object"])


def _state(found: Dict[str, Any]) -> State:
    metadata = found["metadata"]
    return State(
        name=metadata["name"], uid=metadata["uid"], generation=metadata["generation"],
        spec=from_dict(MiniClusterSpec, found.get("spec", {})),
        status=from_dict(MiniClusterStatus, found.get("status", {})),
    )


def _raise_failure(state: State) -> None:
    accepted, failed = state.condition("Accepted"), state.condition("Failed")
    for condition, bad in ((accepted, "False"), (failed, "True")):
        if condition is not None and condition.status == bad:
            raise errors.Failed(f"MiniCluster {state.name}: {condition.message}")


def _summary(state: State) -> str:
    conditions = [c for c in state.status.conditions or [] if c.type in ("Progressing", "Ready", "Failed")]
    return "; ".join(f"{c.type} is {c.status}: {c.message}" for c in conditions) or "it has no conditions yet"


def _time(item: Any) -> str:
    return str(item.last_timestamp or item.event_time or item.metadata.creation_timestamp)


def _event(item: Any) -> Event:
    return Event(
        time=item.last_timestamp or item.event_time or item.metadata.creation_timestamp,
        type=item.type, reason=item.reason, message=item.message,
    )
