#!/usr/bin/env bash
# Runs the end-to-end tests: the product as a cluster has it, on a real node. Needs root and what a node needs (see
# docs/development.md); where that is missing the tests are skipped, unless MINICLUSTER_E2E=required. Arguments go to
# `go test`.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh

export MINICLUSTER_E2E=${MINICLUSTER_E2E:-1}
compile_first "the product and its tests" -test ./cmd/... ./test/framework/node/... ./test/e2e/...
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Without the race detector: the product runs in containers. Built as its programs are, so that most is compiled
# already. Tests wait most of the time, for autoscalers above all: three of them keep two processors busy enough.
status=0
go test -vet=off -count=1 -timeout 30m -parallel 3 -v "$@" ./test/framework/node/... ./test/e2e/... 2>&1 | tee "$log" || status=$?

passed=$(grep -cE '^--- PASS' "$log" || true)
failed=$(grep -cE '^--- FAIL' "$log" || true)
skipped=$(grep -cE '^--- SKIP' "$log" || true)
printf '\ne2e: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
# The output of a failed test is above in pieces, between that of other tests. Print it again in one piece.
awk '
	/^=== (RUN|CONT|NAME|PAUSE) / { test = $3; next }
	/^ *--- (PASS|SKIP): /         { next }
	/^(FAIL|PASS|ok|exit)( |\t|$)/ { test = ""; next }
	/^ *--- FAIL: /                { failed[++n] = $3; end[$3] = $0; next }
	test != ""                     { said[test] = said[test] $0 "\n" }
	END { for (i = 1; i <= n; i++) printf "\n%s\n%s", end[failed[i]], substr(said[failed[i]], 1, 2500) }
' "$log"
if [ "$((passed + failed))" = 0 ]; then
	echo "no end-to-end test ran:"
	grep -A2 -E '^--- SKIP' "$log" | grep -E '^ +' | sed 's/^ */  /' | sort -u
	[ "$MINICLUSTER_E2E" != required ] || exit 1
fi
exit "$status"
