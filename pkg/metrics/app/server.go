package app

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"

	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/version"
	"k8s.io/kube-openapi/pkg/common"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver"
	serveroptions "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd/options"
	openapicore "sigs.k8s.io/custom-metrics-apiserver/pkg/generated/openapi/core"
	openapicustom "sigs.k8s.io/custom-metrics-apiserver/pkg/generated/openapi/custommetrics"
	openapiexternal "sigs.k8s.io/custom-metrics-apiserver/pkg/generated/openapi/externalmetrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"minicluster.internal/operator/pkg/metrics/page"
)

// newServer returns the API server, with the page unless recorder is nil. It delegates authentication and authorization
// to the API server of Kubernetes.
func newServer(o *Options, client *rest.Config, certificate dynamiccertificates.CertKeyContentProvider, values provider.MetricsProvider, ready func() bool, recorder *page.Recorder, own http.Handler) (*apiserver.CustomMetricsAdapterServer, error) {
	options := serveroptions.NewCustomMetricsAdapterServerOptions()
	options.SecureServing.BindAddress = net.ParseIP(o.BindAddress)
	options.SecureServing.BindPort = o.SecurePort
	options.SecureServing.Listener = o.Listener
	options.SecureServing.ServerCert.CertDirectory = "" // writes no files
	options.Authentication.RemoteKubeConfigFile = o.Kubeconfig
	options.Authorization.RemoteKubeConfigFile = o.Kubeconfig
	options.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, openapinamer.NewDefinitionNamer(apiserver.Scheme))
	options.OpenAPIConfig.Info.Title = "minicluster-metrics"
	options.OpenAPIConfig.Info.Version = version.Get().GitVersion
	options.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, openapinamer.NewDefinitionNamer(apiserver.Scheme))
	options.OpenAPIV3Config.Info.Title = "minicluster-metrics"
	options.OpenAPIV3Config.Info.Version = version.Get().GitVersion
	if err := errors.Join(options.Validate()...); err != nil {
		return nil, fmt.Errorf("setting up the API server: %w", err)
	}
	config := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	config.ClientConfig = client
	if err := options.ApplyTo(config); err != nil {
		return nil, fmt.Errorf("setting up the API server: %w", err)
	}
	config.SecureServing.Cert = certificate
	config.EnableMetrics = false // the default handler serves only those of libraries
	config.AddReadyzChecks(healthz.NamedCheck("sources", func(*http.Request) error {
		if !ready() {
			return errors.New("caches are not synced")
		}
		return nil
	}))
	complete := (&apiserver.Config{GenericConfig: &config.Config}).Complete(nil)
	var custom provider.CustomMetricsProvider
	var external provider.ExternalMetricsProvider
	if o.serves(apiCustom) {
		custom = values
	}
	if o.serves(apiExternal) {
		external = values
	}
	server, err := complete.New("minicluster-metrics", custom, external)
	if err != nil {
		return nil, fmt.Errorf("creating the API server: %w", err)
	}
	server.GenericAPIServer.Handler.NonGoRestfulMux.Handle("/metrics", own)
	if recorder != nil {
		if err := page.Install(server.GenericAPIServer, recorder, apiserver.Codecs); err != nil {
			return nil, err //nolint:wrapcheck // already wrapped
		}
	}
	return server, nil
}

// definitions returns the OpenAPI definitions of all APIs.
func definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := openapicore.GetOpenAPIDefinitions(ref)
	maps.Copy(all, openapicustom.GetOpenAPIDefinitions(ref))
	maps.Copy(all, openapiexternal.GetOpenAPIDefinitions(ref))
	return all
}
