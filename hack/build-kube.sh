#!/usr/bin/env bash
# Builds the local Kubernetes for tests and for the demo into bin/: localkube, kwok, kubectl, metrics-server. Needs only
# Go. The first time takes minutes (progress is shown), from then on it is done at once unless test/kube has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/goflags.sh
[ -e bin/.kube-stamp ] || echo "compiling the program that builds Kubernetes" >&2
exec go run ./test/framework/cluster/kubebuild "$@"
