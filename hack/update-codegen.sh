#!/usr/bin/env bash
# Writes every file that is generated from the API types. It needs Go and the
# module proxy only: the generators are tools of the module hack/tools.
set -o errexit -o nounset -o pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=$(go list -m)
api=./pkg/apis/fluxframework/v1alpha2
generated=pkg/generated

# Runs one of the tools, in the version that hack/tools/go.mod fixes. The files
# carry no header, hence the empty header file.
generate() {
  local name=$1
  shift
  go tool -modfile=hack/tools/go.mod "$name" --go-header-file=/dev/null "$@"
}

# Types of core/v1 in our API, whose apply configurations client-go has. The
# last five are fields of SecurityContext, which we embed.
externals=
for type in ResourceRequirements Toleration SecurityContext PodSecurityContext \
  Capabilities SELinuxOptions WindowsSecurityContextOptions SeccompProfile AppArmorProfile; do
  externals+=${externals:+,}k8s.io/api/core/v1.$type:k8s.io/client-go/applyconfigurations/core/v1
done

# From nothing, so that no file stays of what is not generated any more.
rm -rf "$generated"/{applyconfiguration,clientset,listers,informers} "$api"/zz_generated.*.go

generate deepcopy-gen --output-file=zz_generated.deepcopy.go "$api"

generate applyconfiguration-gen \
  --output-dir="$generated/applyconfiguration" \
  --output-pkg="$module/$generated/applyconfiguration" \
  --external-applyconfigurations="$externals" \
  "$api"

generate client-gen \
  --output-dir="$generated/clientset" \
  --output-pkg="$module/$generated/clientset" \
  --clientset-name=versioned \
  --apply-configuration-package="$module/$generated/applyconfiguration" \
  --input-base="$module/pkg/apis" \
  --input=fluxframework/v1alpha2

generate lister-gen \
  --output-dir="$generated/listers" \
  --output-pkg="$module/$generated/listers" \
  "$api"

generate informer-gen \
  --output-dir="$generated/informers" \
  --output-pkg="$module/$generated/informers" \
  --versioned-clientset-package="$module/$generated/clientset/versioned" \
  --listers-package="$module/$generated/listers" \
  "$api"
