#!/usr/bin/env bash
# Writes every file that is generated from the API types. It needs Go and the
# module proxy only: the generators are tools of the module hack/tools.
set -o errexit -o nounset -o pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/goflags.sh

module=$(go list -m)
api=./pkg/apis/fluxframework/v1alpha2
generated=pkg/generated
crd=manifests/crd/flux-framework.org_miniclusters.yaml
reference=docs/reference/api.md
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# Runs one of the tools, in the version that hack/tools/go.mod fixes.
tool() {
  go tool -modfile=hack/tools/go.mod "$@"
}

# Runs a generator of Go code. The files carry no header, hence the empty one.
generate() {
  tool "$@" --go-header-file=/dev/null "$api"
}

# From nothing, so that no file stays of what is not generated any more.
rm -rf "$generated" "$api"/zz_generated.*.go
mkdir -p "$generated" "$(dirname "$crd")" "$(dirname "$reference")"

echo "Generating deep copies"
generate deepcopy-gen --output-file=zz_generated.deepcopy.go

echo "Generating OpenAPI definitions"
openapi() {
  local dir=$1
  shift
  generate openapi-gen \
    --output-file=zz_generated.openapi.go \
    --output-dir="$dir" \
    --output-pkg="$module/$generated/openapi" \
    --output-model-name-file=zz_generated.model_name.go \
    --report-filename=/dev/null \
    "$@"
}
openapi "$generated/openapi"

# Apply configurations need the definitions of the Kubernetes types too. Those
# would be 19,000 lines in this repository, so they replace the project's only
# while models-schema runs.
foreign=(
  k8s.io/api/core/v1
  k8s.io/apimachinery/pkg/api/resource
  k8s.io/apimachinery/pkg/apis/meta/v1
  k8s.io/apimachinery/pkg/runtime
  k8s.io/apimachinery/pkg/util/intstr
)
openapi "$temporary" "${foreign[@]/#/--readonly-pkg=}" "${foreign[@]}"
printf '{"Replace": {"%s": "%s"}}' \
  "$PWD/$generated/openapi/zz_generated.openapi.go" "$temporary/zz_generated.openapi.go" >"$temporary/overlay.json"
go run -overlay="$temporary/overlay.json" ./hack/models-schema >"$temporary/schema.json"

echo "Generating apply configurations"
# Types of core/v1 in our API, whose apply configurations client-go has. The
# last five are fields of SecurityContext, which we embed.
externals=
for type in ResourceRequirements Toleration SecurityContext PodSecurityContext \
  PodDNSConfig PodResourceClaim TopologySpreadConstraint \
  Capabilities SELinuxOptions WindowsSecurityContextOptions SeccompProfile AppArmorProfile; do
  externals+=${externals:+,}k8s.io/api/core/v1.$type:k8s.io/client-go/applyconfigurations/core/v1
done
generate applyconfiguration-gen \
  --output-dir="$generated/applyconfiguration" \
  --output-pkg="$module/$generated/applyconfiguration" \
  --external-applyconfigurations="$externals" \
  --openapi-schema="$temporary/schema.json"

echo "Generating clientset, listers and informers"
tool client-gen \
  --go-header-file=/dev/null \
  --output-dir="$generated/clientset" \
  --output-pkg="$module/$generated/clientset" \
  --clientset-name=versioned \
  --apply-configuration-package="$module/$generated/applyconfiguration" \
  --input-base="$module/pkg/apis" \
  --input=fluxframework/v1alpha2
generate lister-gen \
  --output-dir="$generated/listers" \
  --output-pkg="$module/$generated/listers"
generate informer-gen \
  --output-dir="$generated/informers" \
  --output-pkg="$module/$generated/informers" \
  --versioned-clientset-package="$module/$generated/clientset/versioned" \
  --listers-package="$module/$generated/listers"

echo "Generating the CRD"
tool controller-gen crd paths="$api" output:crd:stdout | go -C hack/tools run ./crdgen >"$temporary/crd.yaml"
mv "$temporary/crd.yaml" "$crd"

echo "Generating the field reference"
go -C hack/tools run ./apidoc <"$crd" >"$temporary/api.md"
mv "$temporary/api.md" "$reference"

echo "Generating the dataclasses of the Python package"
go -C hack/tools run ./pytypes <"$crd" >"$temporary/types.py"
mv "$temporary/types.py" python/minicluster/types.py

echo "Generating the templates of the Helm chart"
hack/update-chart.sh
