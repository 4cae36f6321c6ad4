#!/usr/bin/env bash
# Lists the dependencies that have a newer version, for each Go module of the repository: those that its code or its
# tools import, not what they depend on in turn. It changes nothing. Needs the module proxy.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh

behind=0
for module in . test/kube test/chart test/monitoring test/gitops test/neighbours/* hack/tools hack/tools/lint hack/tools/release hack/tools/site; do
	[ -f "$module/go.mod" ] || continue
	# Listing all modules fails for test/kube: Kubernetes requires modules at v0.0.0, which exist in its own tree only.
	mapfile -t direct < <(
		{
			go -C "$module" mod edit -print | awk '/^require \(/ {on = 1; next} /^\)/ {on = 0} /^require / {sub(/^require /, ""); print $1} on && !/\/\/ indirect/ {print $1}'
			go -C "$module" list -f '{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}' tool 2>/dev/null || true
		} | grep -v '^minicluster\.internal/' | sort -u | sed '/^$/d'
	)
	newer=$(go -C "$module" list -m -u -f '{{with .Update}}  {{$.Path}} {{$.Version}} -> {{.Version}}{{end}}' "${direct[@]}" | sed '/^$/d')
	[ -n "$newer" ] || continue
	printf '%s\n%s\n' "${module/#./the product}" "$newer"
	behind=$((behind + $(wc -l <<<"$newer")))
done
echo "$behind dependencies have a newer version"
