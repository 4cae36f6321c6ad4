// Package chart tests the Helm chart: that it installs what the kustomize manifests install, and its life cycle on the
// local Kubernetes. Helm is a tool of this module, so that the product's own go.mod stays short.
package chart
