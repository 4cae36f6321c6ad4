#!/usr/bin/env bash
# Fetches the modules that building, testing, generating and linting take. The go command gives up at the first answer
# that it does not get; this tries again.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh

again() {
	local pause
	for pause in 5 15 60; do
		"$@" && return
		echo "modules.sh: once more in $pause s: $*" >&2
		sleep "$pause"
	done
	"$@"
}
fetch() { # FOLDER PATTERN...
	again go -C "$1" list -deps -test "${@:2}" >/dev/null
}

fetch . ./...
fetch test/kube ./... tool
fetch test/monitoring ./...
fetch test/chart ./... tool
fetch test/gitops ./...
fetch hack/tools ./... tool
fetch hack/tools/lint tool
fetch hack/tools/release tool
# go mod tidy considers more packages than are built, so it is not checked here.
for module in . test/chart test/monitoring test/gitops; do
	go -C "$module" mod tidy -diff >/dev/null 2>&1 || go -C "$module" mod tidy -diff >/dev/null 2>&1 || true
done
