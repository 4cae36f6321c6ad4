#!/usr/bin/env bash
# Runs every fuzz test of the repository for FUZZTIME each, or those of the packages that FUZZ names (a pattern of grep
# -E).
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh
fuzztime=${FUZZTIME:-20s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Before Go 1.27 the end of -fuzztime is now and then taken for a failure (golang.org/issue/75804): the only message is
# then this one, and no failing input is written. A real failure writes its input.
ended_by_clock() {
	grep -qxE ' +context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"
}

fuzz() { # NAME PACKAGE
	for attempt in 1 2 3; do
		echo "== $1 ($2)"
		if go test -run '^$' -fuzz "^$1\$" -fuzztime "$fuzztime" -fuzzminimizetime 10x "$2" 2>&1 | tee "$log"; then
			return
		fi
		ended_by_clock || return 1
		echo "attempt $attempt of 3 was ended by Go's own clock, not by an input: once more"
	done
	return 1
}

tests=$(git grep -HoE '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | grep -E "^(${FUZZ:-})")
while IFS=: read -r file match; do
	fuzz "${match#func }" "./$(dirname "$file")"
done <<<"$tests"
