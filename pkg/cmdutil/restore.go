package cmdutil

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// watchEndMargin is how much earlier than its timeout a watch may end without being
// interrupted: the server and the client do not start at the same moment.
const watchEndMargin = 2 * time.Second

// WithRestoreDetection returns a copy of a config whose informers list again after the API
// server was restored from a backup. Resource versions then are lower than before, and a
// watch from a version of the future shows nothing until the server has reached it, which
// may take hours. So a watch that is started again after an interruption asks for the
// current version first, which costs one request.
func WithRestoreDetection(ctx context.Context, config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	logger := klog.FromContext(ctx)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &restoreTransport{next: next, logger: logger, now: time.Now, ends: map[string]time.Time{}}
	})
	return config
}

type restoreTransport struct {
	next   http.RoundTripper
	logger klog.Logger
	now    func() time.Time

	mu sync.Mutex
	// ends are the timeouts of the latest watches, by what they watch.
	ends map[string]time.Time
}

// RoundTrip implements http.RoundTripper.
func (t *restoreTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	if watches, _ := strconv.ParseBool(query.Get("watch")); r.Method != http.MethodGet || !watches {
		return t.next.RoundTrip(r)
	}
	if t.interrupted(r.URL.Path, query) {
		version := query.Get("resourceVersion")
		current, err := t.currentVersion(r)
		if err != nil {
			return nil, err
		}
		if order, err := resourceversion.CompareResourceVersion(current, version); err == nil && order < 0 {
			t.logger.Info("The API server was restored from a backup: listing again",
				"path", r.URL.Path, "resourceVersion", current, "earlierResourceVersion", version)
			return expired(r, version, current)
		}
	}
	response, err := t.next.RoundTrip(r)
	if isInitial(query) && (err != nil || response.StatusCode != http.StatusOK) {
		t.forget(r.URL.Path, query) // a list follows
	}
	return response, err
}

// WrappedRoundTripper returns the wrapped transport, as client-go expects.
func (t *restoreTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// interrupted reports whether a watch continues another one that ended before its timeout,
// and records the timeout of this one.
func (t *restoreTransport) interrupted(path string, query url.Values) bool {
	timeout, _ := strconv.Atoi(query.Get("timeoutSeconds"))
	version, key := query.Get("resourceVersion"), watchKey(path, query)
	t.mu.Lock()
	defer t.mu.Unlock()
	end, known := t.ends[key]
	now := t.now()
	t.ends[key] = now.Add(time.Duration(timeout) * time.Second)
	return known && now.Before(end.Add(-watchEndMargin)) && !isInitial(query) && version != "" && version != "0"
}

func (t *restoreTransport) forget(path string, query url.Values) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ends, watchKey(path, query))
}

// watchKey identifies what a watch shows.
func watchKey(path string, query url.Values) string {
	return path + "?" + query.Get("labelSelector") + "&" + query.Get("fieldSelector")
}

// isInitial reports whether a watch begins with all objects, as a list does.
func isInitial(query url.Values) bool {
	initial, _ := strconv.ParseBool(query.Get("sendInitialEvents"))
	return initial
}

// currentVersion returns the latest resource version of the API server. A list without a
// version is a consistent read.
func (t *restoreTransport) currentVersion(watch *http.Request) (string, error) {
	r := watch.Clone(watch.Context())
	r.URL.RawQuery = "limit=1"
	r.Header.Set("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json")
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return "", fmt.Errorf("asking for the current resource version: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", nil // the watch reports what is wrong
	}
	var list metav1.PartialObjectMetadataList
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return "", fmt.Errorf("decoding the current resource version: %w", err)
	}
	return list.ResourceVersion, nil
}

// expired is the response to a watch that can't continue, so that its client lists again.
func expired(r *http.Request, version, current string) (*http.Response, error) {
	status := apierrors.NewResourceExpired(fmt.Sprintf("resource version %s is later than %s, the current one: the API server was restored from a backup",
		version, current)).Status()
	status.Kind, status.APIVersion = "Status", "v1"
	text, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encoding a status: %w", err)
	}
	return &http.Response{
		Status: http.StatusText(http.StatusGone), StatusCode: http.StatusGone, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(text)),
		Body: io.NopCloser(bytes.NewReader(text)), Request: r,
	}, nil
}
