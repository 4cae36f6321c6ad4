#!/usr/bin/env bash
# Installs the operator in the cluster of the current context, or removes it: hack/install.sh install|uninstall.
#   IMAGE=REGISTRY/minicluster:TAG  name of the image, which the nodes must be able to pull
#   METRICS=1                       also the metrics API server
#   KUBECTL=...                     kubectl; that on PATH, or else that of the local Kubernetes
set -euo pipefail
cd "$(dirname "$0")/.."

kubectl=${KUBECTL:-$(command -v kubectl || echo bin/kubectl)}
command -v "$kubectl" >/dev/null || { echo "install.sh: no kubectl: install it, name it in KUBECTL, or run make kube-build" >&2; exit 1; }
image=${IMAGE:-minicluster:latest}
namespace=minicluster-system
parts=(manifests/default)
[ -z "${METRICS:-}" ] || parts+=(manifests/metrics)

k() { "$kubectl" "$@"; }
step() { printf '== %s\n' "$*"; }
# connect names the current context. It fails with a remedy if kubectl reaches no API server.
connect() {
	context=$(k config current-context 2>/dev/null) || context="(none)"
	k get --raw /version --request-timeout=10s >/dev/null && return
	echo "install.sh: kubectl reaches no API server in context $context: start the cluster, or select another context" >&2
	echo "  with KUBECONFIG=FILE or $kubectl config use-context NAME; $kubectl config get-contexts lists them" >&2
	exit 1
}

install() {
	connect
	step "install $image in context $context"
	for part in "${parts[@]}"; do
		k kustomize "$part" | sed "s|image: minicluster:latest|image: $image|" | k apply -f -
	done
	k rollout status deployment minicluster-controller -n "$namespace" --timeout="${TIMEOUT:-120s}"
	[ -z "${METRICS:-}" ] || k rollout status deployment minicluster-metrics -n "$namespace" --timeout="${TIMEOUT:-120s}"
}

# Deleting the API deletes all MiniClusters, and those with volumes need the controller for that.
uninstall() {
	connect
	step "uninstall from context $context"
	local api left=""
	api=$(k get customresourcedefinition miniclusters.flux-framework.org --ignore-not-found -o name)
	[ -z "$api" ] || left=$(k get miniclusters.flux-framework.org -A --ignore-not-found -o name)
	if [ -n "$left" ]; then
		echo "install.sh: MiniClusters exist ($(wc -l <<<"$left")). Delete them first, which ends their work:" >&2
		echo "  $kubectl delete miniclusters -A --all" >&2
		echo "To remove only the controller: $kubectl delete -k manifests/controller && $kubectl delete -k manifests/rbac" >&2
		exit 1
	fi
	k delete --ignore-not-found -k manifests/metrics
	k delete --ignore-not-found -k manifests/default
}

case ${1:-} in
install | uninstall) "$1" ;;
*) echo "usage: hack/install.sh install|uninstall" >&2; exit 2 ;;
esac
