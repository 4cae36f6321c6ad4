// Package v1alpha2 is the MiniCluster API, group flux-framework.org.
//
// One Go type serves both API versions: the CRD serves v1alpha1 and v1alpha2
// with the same schema and no conversion. The only difference between the two
// is a default (see FluxSpec.InstallRoot).
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=internal.minicluster.operator.pkg.apis.fluxframework.v1alpha2
// +groupName=flux-framework.org
// +groupGoName=FluxFramework
package v1alpha2
