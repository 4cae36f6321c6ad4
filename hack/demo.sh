#!/usr/bin/env bash
# Runs the scaling tutorial on a local Kubernetes with simulated nodes: starts
# it, installs the manifests, runs the controller with the rights of its service
# account, and then shows each command with its output. It exits with 0 only if
# every step succeeds. KEEP=1 keeps the cluster running; `hack/demo.sh stop` stops it.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh

state=$PWD/.demo
kube=$state/kube
pidfile=$state/controller.pid
log=$state/controller.log
kubectl=$PWD/bin/kubectl
examples=examples/scaling

stop_controller() {
	local pid
	[ -f "$pidfile" ] || return 0
	pid=$(cat "$pidfile")
	if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q minicluster-controller; then
		kill -TERM "$pid"
		tail --pid="$pid" -f /dev/null
	fi
	rm -f "$pidfile"
}

stop_all() {
	stop_controller
	go run ./test/framework/cluster/kubeup down --dir "$kube" >/dev/null 2>&1 || true
	rm -rf "$state"
}

if [ "${1:-}" = stop ]; then
	stop_all
	exit 0
fi

failed=1
finish() {
	if [ "$failed" = 1 ]; then
		echo
		echo "The demo FAILED. The end of the controller's log:"
		tail -n 20 "$log" 2>/dev/null || true
	fi
	# kubeup writes this file when the cluster has started.
	if [ "${KEEP:-}" = 1 ] && [ -e "$kube/kubeup.json" ]; then
		cat <<-END

			It is still running. To use it:
			  export KUBECONFIG=$(quoted "$kube/kubeconfig")
			  $(quoted "$kubectl") get miniclusters -A
			  tail -f $(quoted "$log")
			To stop it: $(quoted "$PWD/hack/demo.sh") stop
		END
	else
		stop_all
	fi
}
trap finish EXIT
trap 'failed=0; exit 130' INT TERM

# title prints a heading, in bold on a terminal.
title() {
	if [ -t 1 ]; then printf '\n\033[1m== %s\033[0m\n' "$*"; else printf '\n== %s\n' "$*"; fi
}
k() { "$kubectl" "$@"; }
# quoted prints words so that a shell reads the same words again.
quoted() {
	local word words=()
	for word in "$@"; do
		[[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
		words+=("$word")
	done
	printf '%s' "${words[*]}"
}
# show prints a command as a user would type it, and runs it.
show() {
	printf '\n$ %s\n' "kubectl $(quoted "${@:2}")"
	"$@"
}
fail() {
	printf '\nFAILED: %s\n' "$*" >&2
	exit 1
}
# until_is waits until a field of an object has a value.
until_is() { # KIND/NAME JSONPATH VALUE
	kill -0 "$(cat "$pidfile")" 2>/dev/null || fail "the controller has ended"
	k wait "$1" -n flux-operator --for=jsonpath="$2"="$3" --timeout=180s >/dev/null || fail "$1 $2 is not $3"
}
is() { # KIND/NAME JSONPATH VALUE
	local got
	got=$(k get "$1" -n flux-operator -o jsonpath="$2")
	[ "$got" = "$3" ] || fail "$1 $2 is \"$got\", not \"$3\""
}
settled() { # SIZE
	until_is minicluster/flux-sample '{.status.conditions[?(@.type=="Progressing")].reason}' Stable
	until_is minicluster/flux-sample '{.status.readySize}' "$1"
	is minicluster/flux-sample '{.spec.size}' "$1"
	is job/flux-sample '{.spec.parallelism}/{.spec.completions}' "$1/$1"
	local names
	# A terminating pod is Running for a moment after it no longer counts.
	for _ in $(seq 150); do
		names=$(k get pods -n flux-operator -l hpa-selector=flux-sample --field-selector=status.phase=Running -o jsonpath='{range .items[*]}{.spec.hostname} {end}')
		[ "$(wc -w <<<"$names")" != "$1" ] || break
		read -rt 0.2 <> <(:) || true
	done
	[ "$(wc -w <<<"$names")" = "$1" ] || fail "there are pods $names, not $1"
	for i in $(seq 0 $(($1 - 1))); do
		grep -qw "flux-sample-$i" <<<"$names" || fail "pod $i is missing"
	done
	show k get pods -n flux-operator
}
# apply_size applies an example with another size, as an edit of the file would.
apply_size() { # EXAMPLE SIZE
	printf "\n$ sed 's/^  size: .*/  size: %s/' %s | kubectl apply -f -\n" "$2" "$1"
	sed "s/^  size: .*/  size: $2/" "$1" | k apply -f -
}
rejected() { # REQUESTED GRANTED
	until_is minicluster/flux-sample '{.status.conditions[?(@.type=="ScalingLimited")].status}' True
	until_is minicluster/flux-sample '{.spec.size}' "$2"
	is job/flux-sample '{.spec.parallelism}' "$2"
	k get minicluster flux-sample -n flux-operator -o jsonpath='{.status.conditions[?(@.type=="ScalingLimited")].message}' | grep -q "size $1 " ||
		fail "the condition does not name size $1"
	echo
	echo "The controller's log:"
	grep '"Requested Size"=\|Requested Size=' "$log" | tail -n 1
	echo
	echo "The condition ScalingLimited:"
	k get minicluster flux-sample -n flux-operator -o jsonpath='{.status.conditions[?(@.type=="ScalingLimited")].message}{"\n"}'
	for _ in $(seq 50); do
		k get events -n flux-operator --field-selector reason=ScaleRejected -o jsonpath='{.items[*].message}' | grep -q "size $1 " && break
		read -rt 0.2 <> <(:) || true
	done
	show k get events -n flux-operator --field-selector reason=ScaleRejected
	k get events -n flux-operator --field-selector reason=ScaleRejected -o jsonpath='{.items[*].message}' | grep -q "size $1 " ||
		fail "no event names size $1"
}

title "Start a local Kubernetes with simulated nodes"
stop_all
mkdir -p "$state"
# What kubeup prints is how to use a cluster that stays.
go run ./test/framework/cluster/kubeup up --dir "$kube" --nodes 4 >/dev/null
export KUBECONFIG=$kube/kubeconfig
cat <<-END
	The commands below can be repeated in another terminal while the demo runs, after
	  cd $(quoted "$PWD"); export KUBECONFIG=$(quoted "$KUBECONFIG") PATH=$(quoted "$PWD/bin"):\$PATH
	Ctrl-C stops the demo and the local Kubernetes.
END
show k get nodes

title "Install the MiniCluster API and the controller's rights"
for part in namespace crd rbac; do
	show k apply -k manifests/$part
done
# kubectl wait fails at once on a definition so new that it has no conditions.
for _ in $(seq 20); do
	k wait crd/miniclusters.flux-framework.org --for=condition=Established --timeout=30s >/dev/null 2>&1 && break
	read -rt 0.2 <> <(:) || true
done

title "Run the controller, as its service account"
token=$(k create token minicluster-controller -n minicluster-system --duration=8h)
cp "$kube/kubeconfig" "$state/controller.kubeconfig"
user=$(k config view -o jsonpath='{.contexts[0].context.user}')
k config --kubeconfig="$state/controller.kubeconfig" unset "users.$user" >/dev/null
k config --kubeconfig="$state/controller.kubeconfig" set-credentials "$user" --token="$token" >/dev/null
# Simulated pods have no agents, so draining is disabled.
nohup bin/minicluster-controller --kubeconfig="$state/controller.kubeconfig" --leader-elect-resource-namespace=minicluster-system \
	--health-bind-address=127.0.0.1:0 --metrics-bind-address=127.0.0.1:0 --agent-unreachable-timeout=0s >"$log" 2>&1 &
echo $! >"$pidfile"
disown
echo "bin/minicluster-controller runs, its log is .demo/controller.log"

title "Basic example: a cluster of 4"
show k create namespace flux-operator
show k apply -f $examples/basic/minicluster.yaml
settled 4
generation=$(k get job flux-sample -n flux-operator -o jsonpath='{.metadata.generation}')
show k get minicluster -n flux-operator

title "Request size 5 of 4: rejected"
apply_size $examples/basic/minicluster.yaml 5
rejected 5 4
is job/flux-sample '{.metadata.generation}' "$generation" # the Job never saw 5
settled 4

title "Request size 3: the highest index is removed"
apply_size $examples/basic/minicluster.yaml 3
settled 3

title "Request size 4: it is recreated"
apply_size $examples/basic/minicluster.yaml 4
settled 4

title "kubectl scale"
show k scale minicluster/flux-sample -n flux-operator --replicas=3
settled 3
show k scale minicluster/flux-sample -n flux-operator --replicas=4
settled 4

title "The scale endpoint, as an autoscaler sees it, in both versions"
for version in v1alpha1 v1alpha2; do
	path=/apis/flux-framework.org/$version/namespaces/flux-operator/miniclusters/flux-sample/scale
	show k get --raw "$path"
	echo
	got=$(k get --raw "$path")
	for want in '"replicas":4' '"selector":"hpa-selector=flux-sample"'; do
		grep -qF "$want" <<<"$got" || fail "the scale lacks $want"
	done
done

title "Request size 0: rejected"
show k patch minicluster flux-sample -n flux-operator --type=merge -p '{"spec":{"size":0}}'
rejected 0 4
settled 4

title "Expand example: 2, then 4, then 1"
show k delete -f $examples/basic/minicluster.yaml
echo "(waiting for the garbage collector, which discovers new kinds of owners every 30 s)"
k wait job/flux-sample -n flux-operator --for=delete --timeout=180s >/dev/null
show k apply -f $examples/expand/minicluster.yaml
settled 2
apply_size $examples/expand/minicluster.yaml 4
settled 4
apply_size $examples/expand/minicluster.yaml 1
settled 1
show k get minicluster -n flux-operator
show k get configmap flux-sample-config -n flux-operator -o 'jsonpath={.data.broker\.toml}'

failed=0
title "Every step succeeded."
