#!/usr/bin/env bash
# Runs golangci-lint, built from its module.
set -euo pipefail
cd "$(dirname "$0")/.."
modfile=hack/tools/go.mod
[ -f hack/tools/lint/go.mod ] && modfile=hack/tools/lint/go.mod
go tool -modfile="$modfile" golangci-lint run ./... "$@"
