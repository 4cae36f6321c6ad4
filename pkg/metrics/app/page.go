package app

import (
	"os"

	"github.com/spf13/pflag"

	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/pkg/metrics/fluxsource"
	"minicluster.internal/operator/pkg/metrics/page"
)

func (o *Options) addPageFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.Page, "page", o.Page, "Serve a page of what is measured, and register it: /apis/"+page.GroupVersion().String()+"/miniclusters.")
}

// newRecorder makes what records for the page; nil if there is to be none.
func (o *Options) newRecorder(miniClusters fluxinformers.MiniClusterInformer, flux *fluxsource.Source, free *capacity.Source) (*page.Recorder, error) {
	if !o.Page {
		return nil, nil
	}
	replica, err := os.Hostname() // the name of its pod
	if err != nil {
		replica = ""
	}
	return page.NewRecorder(page.Options{MiniClusters: miniClusters, Flux: flux, Capacity: free, Interval: o.CollectInterval, Replica: replica})
}
