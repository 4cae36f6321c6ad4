#!/usr/bin/env bash
# Compares the documentation with the repository: relative links resolve, and
# conditions, reasons, events, flags, metrics, rights and make targets are
# documented if and only if they exist. Tables are found by their headings; names
# in them are in backquotes.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

concepts=docs/concepts.md
operations=docs/operations.md
metricsapi=docs/metrics.md
opportunistic=docs/opportunistic.md
contributing=docs/contributing.md
conditions=pkg/apis/fluxframework/v1alpha2/conditions.go
bad=0

complain() {
	echo "$*" >&2
	bad=1
}

# column prints the names in column N of the tables of a section.
column() { # FILE HEADING N
	awk -F ' *[|] *' -v heading="$2" -v n="$(($3 + 1))" '
		/^#/ { inside = ($0 == heading) }
		inside && /^[|]/ { print $n }' "$1" | grep -oE '`[^`]+`' | tr -d '`' | sort -u || true
}

# same compares two sorted lists of names, one a line.
same() { # WHAT DOCUMENT LIST-OF-DOCUMENT LIST-OF-CODE
	local name
	[ -n "$3" ] || complain "$2: no table of $1 found"
	while read -r name; do complain "$2: $1 $name does not exist"; done < <(comm -23 <(echo "$3") <(echo "$4"))
	while read -r name; do complain "$2: $1 $name is not documented"; done < <(comm -13 <(echo "$3") <(echo "$4"))
}

# slugs prints the anchors that a Markdown file's headings get.
slugs() { # FILE
	awk '/^```/ { code = !code } !code && /^#+ / { sub(/^#+ +/, ""); print tolower($0) }' "$1" |
		sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

links() {
	local file link target anchor path
	while IFS= read -r -d '' file; do
		[ -e "$file" ] || continue
		while IFS= read -r link; do
			case $link in
			http://* | https://* | mailto:* | '') continue ;;
			esac
			target=${link%%#*}
			anchor=
			case $link in *'#'*) anchor=${link#*#} ;; esac
			path=$file
			[ -z "$target" ] || path=$(dirname "$file")/$target
			if [ ! -e "$path" ]; then
				complain "$file: link to $link, which does not exist"
			elif [ -n "$anchor" ] && ! slugs "$path" | grep -qxF -- "$anchor"; then
				complain "$file: link to $link, which has no such heading"
			fi
		done < <(awk '/^```/ { code = !code } !code' "$file" | sed 's/`[^`]*`//g' |
			grep -oE '\]\([^) ]+\)|(src|href)="[^"]+"' | sed -E 's/^\]\(|\)$//g; s/^(src|href)="//; s/"$//' || true)
	done < <(git ls-files -z --cached --others --exclude-standard -- '*.md')
}

# constants prints the values of the constants with a prefix that the controller
# uses.
constants() { # PREFIX
	local name value
	sed -nE "s/^[[:space:]]*($1[A-Za-z]+) += \"([A-Za-z]+)\".*/\1 \2/p" "$conditions" |
		while read -r name value; do
			if grep -rqw --include='*.go' --exclude='*_test.go' "$name" pkg/controller; then echo "$value"; fi
		done | sort -u
}

# events prints the reasons of events that are written out where they are sent;
# others are reasons of conditions.
events() {
	find pkg/controller -name '*.go' ! -name '*_test.go' -exec grep -hoE 'EventType(Normal|Warning), "[A-Za-z]+"' {} + |
		sed -E 's/.*"(.*)"/\1/' | sort -u
}

help=$(go run ./cmd/minicluster-controller --help)
metricshelp=$(go run ./cmd/minicluster-metrics --help)

flags() { # HELP
	sed -nE 's/^ +(-[a-z], )?--([a-z-]+).*/--\2/p' <<<"$1" | grep -vx -- --help | sort -u
}

# defaults prints flags and their defaults, where --help states one.
defaults() { # HELP
	sed -nE 's/^ +(-[a-z], )?--([a-z-]+).*\(default "?\[?([^]")]+)\]?"?\)$/--\2=\3/p' <<<"$1" | sort
}

# documented_defaults prints the same from the table of a document, for those of the
# flags in it that have one. A row of several flags has as many defaults, in their order.
documented_defaults() { # FILE HELP
	awk -F ' *[|] *' '
		/^#/ { inside = ($0 == "## Flags") }
		inside && /^[|] `--/ {
			gsub("`", "")
			n = split($2, flags, / *, */)
			if (n == 1) print $2 "=" $3
			else if (split($3, values, / *, */) == n) for (i = 1; i <= n; i++) print flags[i] "=" values[i]
		}' "$1" | grep -F -f <(defaults "$2" | sed 's/=.*/=/') | sort
}

targets() {
	sed -nE 's/^([a-z0-9-]+):.*## .*/\1/p' Makefile | grep -vx help | sort -u
}

# metrics prints the names of our metrics that some packages register: in one piece, or
# by the part of the program and the rest.
metrics() { # FOLDER...
	find "$@" -name '*.go' ! -name '*_test.go' -exec cat {} + | tr '\n\t' '  ' |
		grep -oE '(NewDesc|desc)\("minicluster_[a-z_]+"|Namespace: +"minicluster[a-z_]*", +Name: +"[a-z_]+"' |
		sed -E 's/^[^"]*"//; s/", +Name: +"/_/; s/"$//' | sort -u
}

# documented_metrics prints those names from the table of a section.
documented_metrics() { # FILE HEADING
	column "$1" "$2" 1 | grep '^minicluster_' || true
}

# pairs prints a line for each of some resources and each of some verbs, both
# separated by commas. What is said of names and namespaces is left out.
pairs='
	function pairs(resources, verbs,   r, v, i, j) {
		gsub(/ *[(][^)]*[)]/, "", resources)
		gsub(/`/, "", resources)
		sub(/ in .*/, "", resources)
		gsub(/ of [^,;]*/, "", verbs)
		for (i = split(resources, r, / *, */); i > 0; i--)
			for (j = split(verbs, v, / *[,;] */); j > 0; j--) print v[j], r[i]
	}'

rights() { # FILE...
	awk -F '[][]' "$pairs"'
		/^ +resources:/ { resources = $2 }
		/^ +verbs:/ { pairs(resources, $2) }' "$@" | sort -u
}

documented_rights() { # FILE HEADING
	awk -F ' *[|] *' -v heading="$2" "$pairs"'
		/^#/ { inside = ($0 == heading) }
		inside && /^[|] / && $2 != "resource" { resources = $2 ? $2 : resources; pairs(resources, $3) }' "$1" | sort -u
}

# fluxmetrics lists the metrics that an agent serves, by the golden file of its test.
fluxmetrics() {
	sed -nE 's/^# TYPE ([a-z_]+) .*/\1/p' pkg/agent/serve/testdata/metrics.txt | sort -u
}

# library tells whether a metric of a library exists, by the last part of its name,
# which is all that its source holds in one piece.
library() { # METRIC
	local package short=$1
	short=${short#workqueue_}
	short=${short#rest_client_}
	short=${short#kubernetes_}
	for package in k8s.io/component-base/metrics/prometheus/{workqueue,restclient,version,clientgo/leaderelection} \
		github.com/prometheus/client_golang/prometheus; do
		grep -rqE "\"($1|$short)\"" "$(go list -f '{{.Dir}}' "$package")" && return 0
	done
	return 1
}

links
same condition "$concepts" "$(column "$concepts" '## Conditions' 1)" "$(constants Condition)"
same reason "$concepts" "$(column "$concepts" '## Conditions' 3)" "$(constants Reason)"
documented=$(column "$concepts" '## Events' 1)
same event "$concepts" "$documented" \
	"$(sort -u <(events) <(comm -12 <(echo "$documented") <(constants Reason)))"
same flag "$operations" "$(column "$operations" '## Flags' 1)" "$(flags "$help")"
same default "$operations" "$(documented_defaults "$operations" "$help")" "$(defaults "$help")"
same right "$operations" "$(documented_rights "$operations" '## Rights')" \
	"$(rights manifests/rbac/controller-role.yaml manifests/rbac/volumes-role.yaml)"
# Flags that are documented for the controller may be left out.
named=$(column "$metricsapi" '## Flags' 1)
same flag "$metricsapi" "$named" \
	"$(comm -23 <(flags "$metricshelp") <(comm -23 <(flags "$help") <(echo "$named")))"
same default "$metricsapi" "$(documented_defaults "$metricsapi" "$metricshelp")" \
	"$(defaults "$metricshelp" | grep -F -f <(sed 's/$/=/' <<<"$named") | grep -vF -f <(flags "$help" | grep '^--kube' | sed 's/$/=/'))"
same right "$metricsapi" "$(documented_rights "$metricsapi" '## Rights of the metrics API server')" \
	"$(rights manifests/metrics/rbac/role.yaml)"
same "make target" "$contributing" "$(column "$contributing" '## Targets' 1 | sed -n 's/^make //p')" "$(targets)"
named=$(column "$operations" '## Metrics' 1)
same metric "$operations" "$(documented_metrics "$operations" '## Metrics')" "$(metrics pkg/controller)"
same metric "$metricsapi and $opportunistic" \
	"$(sort -u <(documented_metrics "$metricsapi" '## Its own metrics') <(documented_metrics "$opportunistic" '## Metrics'))" \
	"$(metrics pkg/metrics)"
same "metric of Flux" "$operations" "$(column "$operations" '## Health and metrics of Flux' 1 | grep -v ^/)" "$(fluxmetrics)"
same alert "$operations" "$(column "$operations" '### Alerts' 1)" \
	"$(sed -nE 's/^ +- alert: //p' manifests/monitoring/rules.yaml | sort)"
for metric in $(grep -v '^minicluster_' <<<"$named" || true); do
	library "$metric" || complain "$operations: metric $metric does not exist"
done
exit "$bad"
