#!/usr/bin/env bash
# Prints the section of a version from CHANGELOG.md: hack/release-notes.sh v1.2.3.
set -euo pipefail
cd "$(dirname "$0")/.."
awk -v heading="## [${1#v}]" '
	index($0, heading) == 1 { found = 1; next }
	found && /^## \[/       { exit }
	found                   { print }
	END                     { if (!found) { print "CHANGELOG.md has no section " heading > "/dev/stderr"; exit 1 } }
' CHANGELOG.md
