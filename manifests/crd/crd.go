// Package crd embeds the CustomResourceDefinition of MiniClusters, so that programs can apply its schema without a
// cluster.
package crd

import _ "embed"

// MiniClusters is the CustomResourceDefinition of MiniClusters, in YAML.
//
//go:embed flux-framework.org_miniclusters.yaml
var MiniClusters []byte
