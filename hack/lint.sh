#!/usr/bin/env bash
# Runs golangci-lint, built from its module, on all modules but that of Kubernetes.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh
linter=$PWD/hack/tools/lint/go.mod
lint() { (cd "$1" && shift && go tool -modfile="$linter" golangci-lint run ./... "$@"); }
lint . "$@"
lint hack/tools "$@"
lint test/monitoring "$@"
lint test/chart "$@"
lint test/gitops "$@"
