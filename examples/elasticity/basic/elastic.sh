#!/bin/sh
# An application that changes the size of the MiniCluster in which it runs. It asks
# the API server itself, as the service account of its pod, and needs curl, sed and
# awk beside a shell.
set -eu

account=/var/run/secrets/kubernetes.io/serviceaccount
namespace=$(cat $account/namespace)
group=https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/apis/flux-framework.org/v1alpha1/namespaces/$namespace
pods=https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$namespace/pods

# A pod of MiniCluster NAME has the host name NAME-INDEX.
host=$(hostname)
name=${host%-*}

# api asks the API server, and again where it does not answer: that happens while it
# is replaced. The token is read each time: it is renewed while we run.
api() { # URL [OPTION...]
	url=$1
	shift
	curl --silent --show-error --fail --retry 5 --retry-connrefused --cacert $account/ca.crt \
		--header "Authorization: Bearer $(cat $account/token)" "$@" "$url"
}

# In the answers each level is indented by two spaces more: a MiniCluster's own fields
# by four, the fields of an item's metadata and status by eight.
field() { # NAME
	sed -n '/^  "spec": {/,/^  }/s/^    "'"$1"'": "\{0,1\}\([^",]*\).*/\1/p'
}

list_miniclusters() {
	api "$group/miniclusters?pretty=true" | sed -n 's/^        "name": "\(.*\)",*$/\1/p'
}

list_pods() {
	api "$pods?pretty=true&labelSelector=hpa-selector%3D$name&fieldSelector=status.phase%3DRunning" | awk -F '"' -v namespace="$namespace" '
		/^        "name": /  { name = $4 }
		/^        "podIP": / { ip = $4 }
		/^    }/             { printf "%-15s %s %s\n", ip, namespace, name; ip = "" }
	'
}

# resize merges a size into the MiniCluster, and waits until there are so many pods.
resize() { # SIZE
	echo
	echo "I ask for $1."
	api "$group/miniclusters/$name" --output /dev/null --request PATCH \
		--header 'Content-Type: application/merge-patch+json' --data '{"spec":{"size":'"$1"'}}'
	until [ "$(list_pods | wc -l)" -eq "$1" ]; do sleep 1; done
	show
}

show() {
	spec=$(api "$group/miniclusters/$name?pretty=true")
	echo
	echo "   size: $(echo "$spec" | field size)"
	echo "maxSize: $(echo "$spec" | field maxSize)"
	echo "Who is out there?"
	list_pods
}

echo "I run on $host. Which MiniCluster of namespace $namespace is mine?"
list_miniclusters | while read -r one; do
	if [ "$one" = "$name" ]; then echo "$one: this one"; else echo "$one"; fi
done
until [ "$(list_pods | wc -l)" -eq 2 ]; do sleep 1; done
show

resize 4
resize 3

echo
echo "Done."
