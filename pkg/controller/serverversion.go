package controller

import (
	"context"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/klog/v2"
)

// versionRetry is how long after a failure the API server is asked for its version
// again.
const versionRetry = time.Second

// serverMinor asks for the minor version of the API server until it answers, or the
// context ends. Servers are upgraded while the controller runs; a pod made for an older one
// works on a newer one, too.
func serverMinor(ctx context.Context, server interface {
	ServerVersion() (*version.Info, error)
}) (int, error) {
	var info *version.Info
	err := wait.PollUntilContextCancel(ctx, versionRetry, true, func(ctx context.Context) (bool, error) {
		var err error
		if info, err = server.ServerVersion(); err != nil {
			klog.FromContext(ctx).Error(err, "Asking for the version of the API server failed; it is tried again")
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return 0, err
	}
	return parseMinor(info), nil
}

// parseMinor reads a minor version, to which some vendors add a sign; 0 where it is
// none.
func parseMinor(info *version.Info) int {
	minor, err := strconv.Atoi(strings.TrimRight(info.Minor, "+"))
	if err != nil || info.Major != "1" {
		return 0
	}
	return minor
}
