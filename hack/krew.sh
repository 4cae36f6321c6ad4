#!/usr/bin/env bash
# Prints the manifest of the kubectl plugin for Krew: hack/krew.sh VERSION FOLDER. The folder has the archives of the
# release; RELEASE_URL is where they are downloaded from.
set -euo pipefail
version=$1 folder=$2
url=${RELEASE_URL:-https://example.invalid/releases/download}
cat <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: minicluster
spec:
  version: $version
  shortDescription: Create, inspect and scale Flux clusters (MiniClusters)
  description: |
    Creates, inspects and scales MiniClusters, which are Flux clusters in Kubernetes, and runs Flux commands in them.
  platforms:
EOF
for file in "$folder"/kubectl-minicluster_*.tar.gz; do
	name=$(basename "$file" .tar.gz)
	IFS=_ read -r _ os arch <<<"$name"
	cat <<EOF
    - selector:
        matchLabels: {os: $os, arch: $arch}
      uri: $url/$version/$name.tar.gz
      sha256: $(sha256sum "$file" | cut -d' ' -f1)
      bin: kubectl-minicluster
EOF
done
