#!/usr/bin/env bash
# Runs the end-to-end tests: the product as a cluster has it, on a real node. Needs root and what a node needs (see
# docs/development.md); where that is missing the tests are skipped, unless MINICLUSTER_E2E=required. Arguments go to
# `go test`. With MINICLUSTER_E2E_AGAIN=N up to N tests that failed are run once more, one at a time, and said to have been.
set -euo pipefail
cd "$(dirname "$0")/.."

export MINICLUSTER_E2E=${MINICLUSTER_E2E:-1}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Without the race detector: the product runs in containers. Built as its programs are, so that most is compiled already.
# Tests wait most of the time, for autoscalers above all: three of them keep two processors busy enough.
run() { # ARGUMENT...
	CGO_ENABLED=0 go test -trimpath -vet=off -count=1 -timeout 20m -parallel 3 -v "$@" ./test/framework/node/... ./test/e2e/... 2>&1 | tee "$log"
}

status=0
run "$@" || status=$?

passed=$(grep -cE '^--- PASS' "$log" || true)
failed=$(grep -cE '^--- FAIL' "$log" || true)
skipped=$(grep -cE '^--- SKIP' "$log" || true)
printf '\ne2e: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
# What a failed test said is above in pieces, where others ran beside it: here it is in one.
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
# After a panic, which a timeout is, too, tests are missing.
if [ "$failed" -gt 0 ] && [ "$failed" -le "${MINICLUSTER_E2E_AGAIN:-0}" ] && ! grep -q '^panic: ' "$log"; then
	again=$(sed -nE 's/^--- FAIL: ([^ ]+) .*/\1/p' "$log" | sort -u | paste -sd '|')
	printf '\ne2e: once more, one at a time: %s\n' "$again"
	if run "$@" -parallel 1 -run "^($again)\$"; then
		status=0
		printf '\ne2e: FLAKY, failed beside others and passed alone (see above): %s\n' "$again"
	fi
fi
exit "$status"
