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
	fs.BoolVar(&o.Page, "page", o.Page, "Serve a web page that shows the metrics, and register it as /apis/"+page.GroupVersion().String()+"/miniclusters.")
}

// newRecorder returns the recorder of the page, or nil if the page is disabled.
func (o *Options) newRecorder(miniClusters fluxinformers.MiniClusterInformer, flux *fluxsource.Source, free *capacity.Source) (*page.Recorder, error) {
	if !o.Page {
		return nil, nil
	}
	replica, err := os.Hostname() // the name of the pod
	if err != nil {
		replica = ""
	}
	return page.NewRecorder(page.Options{MiniClusters: miniClusters, Flux: flux, Capacity: free, Interval: o.CollectInterval, Replica: replica})
}
