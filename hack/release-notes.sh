#!/usr/bin/env bash
# Prints the notes of a version: docs/releases/VERSION.md, if it exists, and the section of CHANGELOG.md:
# hack/release-notes.sh v1.2.3. NOTES_SECTION=Unreleased prints that section instead, for a preview.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -e "docs/releases/$1.md" ]; then
	cat "docs/releases/$1.md"
	echo
fi
awk -v heading="## [${NOTES_SECTION:-${1#v}}]" '
	index($0, heading) == 1 { found = 1; next }
	found && /^## \[/       { exit }
	found                   { print }
	END                     { if (!found) { print "CHANGELOG.md has no section " heading > "/dev/stderr"; exit 1 } }
' CHANGELOG.md
