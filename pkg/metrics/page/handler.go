package page

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

// GroupVersion returns the API group and version of the page. The path of the page is
// /apis/GROUP/VERSION/miniclusters, and that of a namespace
// /apis/GROUP/VERSION/namespaces/NAMESPACE/miniclusters. Opening it requires the verb list, and
// updating it the verb watch.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: "page.flux-framework.org", Version: "v1alpha1"}
}

// resourcePages is the resource that represents the page.
const resourcePages = "miniclusters"

// handler serves the page.
type handler struct {
	recorder *Recorder
	access   access
	template *pageTemplate
	streams  *streams
	drawings *drawings
}

func newHandler(recorder *Recorder, template *pageTemplate, access access) *handler {
	return &handler{
		recorder: recorder, access: access, template: template, streams: newStreams(recorder),
		drawings: &drawings{recorder: recorder, template: template},
	}
}

// Install adds the page to an API server, which authenticates and authorizes requests.
//
// The discovery document of the group is empty, so that programs that list all resources ignore it.
func Install(server *genericapiserver.GenericAPIServer, recorder *Recorder, serializer runtime.NegotiatedSerializer) error {
	template, err := newTemplate()
	if err != nil {
		return err
	}
	h := newHandler(recorder, template, access{authorizer: server.Authorizer})
	gv := GroupVersion()
	version := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
	group := metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}
	nothing := discovery.APIResourceListerFunc(func() []metav1.APIResource { return nil })
	server.DiscoveryGroupManager.AddGroup(group)
	mux := server.Handler.NonGoRestfulMux
	root := "/apis/" + gv.Group
	mux.Handle(root, discovery.NewAPIGroupHandler(serializer, group))
	mux.Handle(root+"/"+gv.Version, discovery.NewAPIVersionHandler(serializer, gv, nothing))
	mux.UnlistedHandlePrefix(root+"/"+gv.Version+"/", h)
	return nil
}

// ServeHTTP serves the page or a stream of updates.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header(), h.template.policy)
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || info.Resource != resourcePages || info.Name != "" || info.Subresource != "" {
		http.NotFound(w, r)
		return
	}
	stream := info.Verb == "watch"
	accepted := "text/html"
	switch {
	case stream:
		accepted = "text/event-stream"
		fallthrough
	case info.Verb == "list":
	default:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The page is read-only.", http.StatusMethodNotAllowed)
		return
	}
	if !accepts(r, accepted) {
		http.Error(w, "The page is served as "+accepted+" only.", http.StatusNotAcceptable)
		return
	}
	who, ok := request.UserFrom(r.Context())
	if !ok {
		http.Error(w, "The request is not authenticated.", http.StatusUnauthorized)
		return
	}
	if !h.recorder.has() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "The server is starting. Try again in a few seconds.", http.StatusServiceUnavailable)
		return
	}
	h.recorder.read(r.Context())
	scope, err := h.access.scope(r.Context(), who, info.Namespace, h.recorder.namespaces())
	switch {
	case err != nil:
		klog.FromContext(r.Context()).Error(err, "Failed to check who may see the page")
		http.Error(w, "Failed to check your permissions with the API server of Kubernetes. Try again.", http.StatusServiceUnavailable)
		return
	case scope == nil:
		http.Error(w, "You may not get the metrics of MiniClusters: you need the role view in a namespace.", http.StatusForbidden)
		return
	}
	q := queryOf(r.URL.Query())
	if stream {
		h.stream(w, r, scope, q)
		return
	}
	var page bytes.Buffer
	if err := h.template.page(&page, h.recorder.view(*scope, q)); err != nil {
		klog.FromContext(r.Context()).Error(err, "Failed to render the page")
		http.Error(w, "Failed to render the page.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(page.Len()))
	_, _ = w.Write(page.Bytes()) // an error means that the client has disconnected
}

// has reports whether there is a record.
func (r *Recorder) has() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return !r.recorded.IsZero()
}

// namespaces returns the namespaces with MiniClusters, sorted.
func (r *Recorder) namespaces() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var names []string
	for _, of := range r.ordered {
		if n := len(names); n == 0 || names[n-1] != of.Namespace {
			names = append(names, of.Namespace)
		}
	}
	return names
}

// secure sets headers that restrict what a browser does with the page. Through kubectl proxy the page
// has the same origin as the API of Kubernetes, so an injected script would have the rights of the
// user.
func secure(header http.Header, policy string) {
	for name, value := range map[string]string{
		"Cache-Control":                "no-store",
		"Content-Security-Policy":      policy,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	} {
		header.Set(name, value)
	}
}

// accepts reports whether a client accepts a media type. Without the header it accepts all.
func accepts(r *http.Request, want string) bool {
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return true
	}
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case want, "text/*", "*/*":
			return true
		}
	}
	return false
}
