#!/usr/bin/env bash
# Fails, with the difference, when a generated file is not what
# hack/update-codegen.sh writes. It generates in a copy, so that the work tree
# stays as it is.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# What git tracks and what it would track; files that were removed are skipped.
git ls-files -z --cached --others --exclude-standard -- go.mod go.sum hack pkg manifests charts docs/reference python |
  while IFS= read -r -d '' file; do
    if [ -e "$file" ]; then printf '%s\0' "$file"; fi
  done | tar --create --null --files-from=- | tar --extract --directory="$copy"

"$copy/hack/update-codegen.sh" >"$copy/log" 2>&1 || {
  cat "$copy/log" >&2
  exit 1
}

stale=0
for path in pkg/apis pkg/generated manifests/crd charts docs/reference python/minicluster/types.py; do
  diff --recursive --new-file --unified "$path" "$copy/$path" || stale=1
done
if [ "$stale" -ne 0 ]; then
  echo "generated files are stale: run hack/update-codegen.sh and commit what it writes" >&2
  exit 1
fi
