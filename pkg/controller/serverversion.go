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

// versionRetry is the time after a failed request for the version of the API server until the next one.
const versionRetry = time.Second

// serverMinor requests the minor version of the API server until it gets an answer or the context ends. It does so
// only once: a server may be upgraded while the controller runs, but pods built for an older server also work on a
// newer one.
func serverMinor(ctx context.Context, server interface {
	ServerVersion() (*version.Info, error)
}) (int, error) {
	var info *version.Info
	err := wait.PollUntilContextCancel(ctx, versionRetry, true, func(ctx context.Context) (bool, error) {
		var err error
		if info, err = server.ServerVersion(); err != nil {
			klog.FromContext(ctx).Error(err, "Failed to get the version of the API server, retrying")
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return 0, err
	}
	return parseMinor(info), nil
}

// parseMinor parses a minor version, to which some vendors append a plus sign. It returns 0 if the version is
// invalid.
func parseMinor(info *version.Info) int {
	minor, err := strconv.Atoi(strings.TrimRight(info.Minor, "+"))
	if err != nil || info.Major != "1" {
		return 0
	}
	return minor
}
