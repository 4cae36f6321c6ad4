#!/usr/bin/env bash
# Writes a release to dist/release: hack/release.sh v1.2.3. The same sources give the same files, bit by bit, on every
# machine: times are those of the commit, paths are trimmed, archives are sorted.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/goflags.sh

version=${1:?usage: hack/release.sh vMAJOR.MINOR.PATCH}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "release.sh: $version is not a version such as v1.2.3" >&2; exit 2; }
image=${IMAGE:-minicluster:$version}
[[ $image =~ ^[^@]+:[^:/@]+$ ]] || { echo "release.sh: IMAGE $image has no tag, or a digest: the image is not built yet" >&2; exit 2; }
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export VERSION=$version
out=dist/release
image_platforms=${IMAGE_PLATFORMS:-linux/amd64,linux/arm64}
plugin_platforms=${PLUGIN_PLATFORMS:-linux/amd64,linux/arm64,darwin/amd64,darwin/arm64}
ldflags="-X k8s.io/component-base/version.gitVersion=$version"

rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf '== %s\n' "$*"; }

# archive FILE FOLDER [MEMBER] writes a tar archive that depends on the content of the folder only.
archive() {
	tar --create --directory="$2" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "${3:-.}" |
		gzip --no-name --best >"$1"
}

# sbom BINARY FILE lists the modules of a binary (CycloneDX).
sbom() {
	go tool -modfile="$PWD/hack/tools/release/go.mod" cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$version" -output "$2" "$1"
	go run ./hack/sbomcheck "$1" "$2"
}

step "image, $image_platforms"
go run ./hack/image --version "$version" --ldflags "$ldflags" --platforms "$image_platforms" --output "$out/minicluster-image.tar"

step "kubectl plugin, $plugin_platforms"
for platform in ${plugin_platforms//,/ }; do
	name=kubectl-minicluster_${platform/\//_}
	mkdir -p "$work/$name"
	GOOS=${platform%/*} GOARCH=${platform#*/} go build -buildvcs=false -ldflags "-s -w $ldflags" -o "$work/$name/kubectl-minicluster" ./cmd/kubectl-minicluster
	cp LICENSE "$work/$name/"
	archive "$out/$name.tar.gz" "$work/$name"
done

step "manifests"
make --no-print-directory dist IMAGE="$image" >/dev/null
cp dist/minicluster.yaml dist/minicluster-metrics.yaml dist/minicluster-monitoring.yaml "$out/"

step "chart"
mkdir "$work/chart"
cp -r charts/minicluster "$work/chart/"
sed -i -e "s/^version: .*/version: ${version#v}/" -e "s/^appVersion: .*/appVersion: $version/" "$work/chart/minicluster/Chart.yaml"
sed -i -e "s|^  repository: minicluster\$|  repository: ${image%:*}|" -e "s|^  tag: latest\$|  tag: \"${image##*:}\"|" "$work/chart/minicluster/values.yaml"
archive "$out/minicluster-${version#v}.tgz" "$work/chart" minicluster

step "software bill of materials"
for program in minicluster-agent minicluster-controller minicluster-metrics kubectl-minicluster; do
	GOOS=linux GOARCH=amd64 go build -buildvcs=false -ldflags "-s -w $ldflags" -o "$work/$program" "./cmd/$program"
	sbom "$work/$program" "$out/$program.cdx.json"
done

step "Krew manifest"
hack/krew.sh "$version" "$out" >"$out/minicluster-krew.yaml"

step "checksums"
(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS && cat SHA256SUMS)
