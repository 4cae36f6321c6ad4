#!/usr/bin/env bash
# Runs `go test` with the race detector on the given packages and ends with a
# summary. Fails when a test fails, and when no test ran.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh

race=-race
if ! command -v "${CC:-gcc}" >/dev/null; then
	echo "test.sh: no C compiler, so the race detector is left out" >&2
	race=
fi
command -v prometheus >/dev/null ||
	echo "test.sh: no Prometheus, so tests that need it are skipped: install package prometheus" >&2
command -v chromedriver >/dev/null ||
	echo "test.sh: no browser, so tests that need it are skipped: install packages chromium and chromium-driver" >&2
/usr/bin/python3 -c 'import kubernetes' 2>/dev/null || python3 -c 'import kubernetes' 2>/dev/null ||
	echo "test.sh: no Python with Kubernetes' client, so tests that need it are skipped: install package python3-kubernetes" >&2

packages=()
for argument in "$@"; do
	[[ $argument != ./* ]] || packages+=("$argument")
done
# shellcheck disable=SC2086
compile_first "the product and its tests" $race -test "${packages[@]}"
[ -z "$race" ] || export CGO_ENABLED=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
# Most packages wait for a local Kubernetes for half of their time, so one more of them runs than there are processors.
# shellcheck disable=SC2086
go test $race -p "$(($(getconf _NPROCESSORS_ONLN) + 1))" -timeout 30m "$@" 2>&1 | tee "$log" || status=$?

awk -v status="$status" '
	$1 == "ok"   { ok++; if (/\[no tests to run\]/) ok--; if (/\(cached\)/) cached++ }
	$1 == "FAIL" && NF > 1 { failed++ }
	$1 == "---" && $2 == "FAIL:" { tests++ }
	END {
		printf "\n%d packages passed (%d from the cache), %d failed\n", ok, cached, failed
		if (ok + failed == 0) { print "no test ran"; exit 1 }
		exit status
	}' "$log"
