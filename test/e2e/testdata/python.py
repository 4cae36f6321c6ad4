"""Flux commands, logs and errors of the Python package on a real node. The argument is the image."""

import sys

from minicluster import Client, CommandError, FluxContainer, FluxSpec, MiniClusterContainer, MiniClusterSpec

image = sys.argv[1]
spec = MiniClusterSpec(
    size=2,
    max_size=3,
    interactive=True,
    flux=FluxSpec(container=FluxContainer(disable=True)),
    containers=[MiniClusterContainer(image=image, image_pull_policy="IfNotPresent")],
)
with Client().create("sample", spec) as cluster:
    cluster.wait_ready(timeout=180)
    print(sorted(cluster.run("-N2", "sh", "-c", "echo task $FLUX_TASK_RANK").split("\n")))
    job = cluster.submit("echo", "größer")
    print(job[0], cluster.output(job).strip())
    cluster.scale(3, timeout=180)
    print(len(cluster.run("-N3", "hostname").split()))
    try:
        cluster.run("sh", "-c", "echo wrong >&2; exit 3")
    except CommandError as error:
        print(error.exit_code, "wrong" in error.stderr)

spec = MiniClusterSpec(
    size=1,
    flux=FluxSpec(container=FluxContainer(disable=True)),
    logging={"quiet": True},
    containers=[MiniClusterContainer(image=image, image_pull_policy="IfNotPresent", launcher=True, command="seq 3")],
)
with Client().create("program", spec) as cluster:
    cluster.wait_complete(timeout=180)
    print(list(cluster.logs()), list(cluster.logs(follow=True, tail=1)))
