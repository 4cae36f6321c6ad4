#!/usr/bin/env bash
# Runs the end-to-end tests: the product as a cluster has it, on a real node. Needs root and what a node needs (see
# docs/contributing.md); where that is missing the tests are skipped, unless MINICLUSTER_E2E=required. Arguments go to
# `go test`.
set -euo pipefail
cd "$(dirname "$0")/.."

export MINICLUSTER_E2E=${MINICLUSTER_E2E:-1}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# Without the race detector: the product runs in containers. Built as its programs are, so that most is compiled already.
# Tests wait most of the time, for autoscalers above all: three of them keep two processors busy enough.
CGO_ENABLED=0 go test -trimpath -vet=off -count=1 -timeout 20m -parallel 3 -v "$@" ./test/node/... ./test/e2e/... 2>&1 | tee "$log" || status=$?

passed=$(grep -cE '^--- PASS' "$log" || true)
failed=$(grep -cE '^--- FAIL' "$log" || true)
skipped=$(grep -cE '^--- SKIP' "$log" || true)
printf '\ne2e: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
# What a test said is above, in pieces where others ran beside it.
grep -E '^ *--- FAIL' "$log" || true
if [ "$((passed + failed))" = 0 ]; then
	echo "no end-to-end test ran:"
	grep -A2 -E '^--- SKIP' "$log" | grep -E '^ +' | sed 's/^ */  /' | sort -u
	[ "$MINICLUSTER_E2E" != required ] || exit 1
fi
exit "$status"
