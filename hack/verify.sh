#!/usr/bin/env bash
# Everything about the repository that a machine can check without a cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh

step() { printf '== %s\n' "$*"; }

step "gofmt"
unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'run gofmt -w on:\n%s\n' "$unformatted" >&2
	exit 1
fi

step "go vet"
go vet ./...
# Vetting localkube itself would vet all of Kubernetes; the build checks it.
(cd test/kube && go vet ./pki)
(cd hack/tools && go vet ./...)
(cd test/monitoring && go vet ./...)
(cd test/chart && go vet ./...)
(cd test/gitops && go vet ./...)

step "the plugin compiles for macOS"
GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/kubectl-minicluster

step "modules are tidy"
go mod tidy -diff
(cd test/monitoring && go mod tidy -diff)
(cd test/chart && go mod tidy -diff)
(cd test/gitops && go mod tidy -diff)

step "generated files are fresh"
hack/verify-codegen.sh

step "workflows"
go tool -modfile="$PWD/hack/tools/release/go.mod" actionlint

step "documentation agrees with the code"
CGO_ENABLED=0 go test -count=1 -vet=off ./test/documentation

step "lint"
hack/lint.sh
echo "verified"
