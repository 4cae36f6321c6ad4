package page_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

// TestAccess checks real tokens, through the API server and directly.
func TestAccess(t *testing.T) {
	t.Parallel()
	f, other := newFixture(t), newFixture(t)
	f.ready("mine", 1)
	other.ready("theirs", 1)
	all, mine := root+"miniclusters", root+"namespaces/"+f.Namespace+"/miniclusters"
	row := func(g *fixture, name string) string { return `<tr id="row/` + g.Namespace + `/` + name + `"` }

	_, err := f.Kube.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: f.Namespace + "-open"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"page.flux-framework.org"}, Resources: []string{"miniclusters"}, Verbs: []string{"list", "watch"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = f.Kube.RbacV1().ClusterRoles().Delete(context.Background(), f.Namespace+"-open", metav1.DeleteOptions{})
	})
	stranger := f.token("stranger")
	viewer := f.token("viewer", f.in(f.Namespace, "view"))
	everybody := f.token("all-viewer", f.everywhere("view"))
	// They may open the page of all namespaces, and see one of them, or none.
	opener := f.token("opener", f.everywhere(f.Namespace+"-open"))
	some := f.token("some", f.everywhere(f.Namespace+"-open"), f.in(f.Namespace, "view"))

	for way, config := range map[string]*rest.Config{"through the API server": f.through(), "past it": f.past()} {
		status := func(token, path string) (status int) {
			f.Eventually("an answer that is not about load", func(ctx context.Context) (string, error) {
				var body string
				var err error
				status, body, err = f.get(ctx, config, token, path)
				if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
					return fmt.Sprintf("%d: %s", status, body), err
				}
				return "", err
			})
			return status
		}
		page := f.page(config, everybody, all, row(f, "mine"), row(other, "theirs"), `data-metric="cpu_remaining"`)
		assert.Contains(t, page, `<option>`+other.Namespace)

		page = f.page(config, viewer, mine, row(f, "mine"), `data-metric="cpu_remaining"`)
		assert.NotContains(t, page, other.Namespace, "%s: nothing of another namespace", way)
		assert.NotContains(t, page, "All namespaces", way)
		assert.NotContains(t, page, `<tr id="node/`, "%s: nodes only for users who may list them", way)
		assert.Contains(t, page, "Single nodes are shown to users who may list nodes.", way)
		assert.Contains(t, f.page(config, everybody, mine, row(f, "mine")), `<a href="../../miniclusters">All namespaces</a>`, way)

		page = f.page(config, some, all, row(f, "mine"))
		assert.NotContains(t, page, other.Namespace, "%s: nothing of another namespace", way)
		assert.NotContains(t, page, "data-metric=\"cpu_remaining\"", "%s: nothing of the cluster", way)

		for path, want := range map[string]int{all: http.StatusForbidden, mine: http.StatusForbidden} {
			assert.Equal(t, want, status(stranger, path), "%s: a stranger at %s", way, path)
			assert.Equal(t, http.StatusUnauthorized, status("nonsense", path), "%s: an invalid token at %s", way, path)
			assert.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, status("", path), "%s: no token at %s", way, path)
		}
		assert.Equal(t, http.StatusForbidden, status(viewer, all), way)
		assert.Equal(t, http.StatusForbidden, status(viewer, root+"namespaces/"+other.Namespace+"/miniclusters"), way)
		assert.Equal(t, http.StatusForbidden, status(viewer, root+"namespaces/"+other.Namespace+"/miniclusters?watch=true"), way)
		assert.Equal(t, http.StatusForbidden, status(opener, all), way)
	}
}

// TestNodesOnPage checks that an administrator, who may list nodes, sees all of them.
func TestNodesOnPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	page := f.page(f.Cluster.Config(), "", root+"miniclusters", `<table class="nodes">`)
	assert.Equal(t, 6, strings.Count(page, `<tr id="node/`))
}

// TestReadOnly checks that the page cannot be written, and that other media types are rejected.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.page(f.Cluster.Config(), "", root+"miniclusters")
	client := f.Kube.Discovery().RESTClient()
	for verb, request := range map[string]*rest.Request{"POST": client.Post(), "PUT": client.Put(), "DELETE": client.Delete()} {
		err := request.AbsPath(root + "namespaces/" + f.Namespace + "/miniclusters").Do(t.Context()).Error()
		assert.True(t, apierrors.IsMethodNotSupported(err), "%s: %v", verb, err)
	}
	err := client.Get().AbsPath(root+"miniclusters").SetHeader("Accept", "application/json").Do(t.Context()).Error()
	assert.True(t, apierrors.IsNotAcceptable(err), "%v", err)

	// Discovery works, and lists nothing.
	resources, err := f.Kube.Discovery().ServerResourcesForGroupVersion("page.flux-framework.org/v1alpha1")
	require.NoError(t, err)
	assert.Empty(t, resources.APIResources)
	out, err := f.Cluster.Kubectl(t.Context(), "api-resources", "--cached=false", "--no-headers")
	require.NoError(t, err)
	assert.NotContains(t, out, "page.flux-framework.org")
	out, err = f.Cluster.Kubectl(t.Context(), "get", "miniclusters", "--namespace", f.Namespace, "--ignore-not-found", "-o", "name")
	require.NoError(t, err, "the short name is not ambiguous")
	assert.Empty(t, out)
}

// TestStream checks that changes arrive at once, through the API server.
func TestStream(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ready("flowing", 1, func(mc *v1alpha2.MiniCluster) { mc.Spec.MaxSize = 4 })
	path := root + "namespaces/" + f.Namespace + "/miniclusters"
	f.page(f.Cluster.Config(), "", path, `data-of="size"><strong><data value="1">`)

	event := f.stream(f.Cluster.Config(), "", path)
	retry, _ := event()
	assert.Equal(t, "retry: 500\n", retry)
	first, _ := event()
	assert.Contains(t, first, `data: <section id="capacity"`)
	assert.Contains(t, first, `data-of="size"><strong><data value="1">1</data>`)
	began := time.Now()
	f.SetSize("flowing", 3)
	for text := ""; !strings.Contains(text, `data-of="wanted"><data value="3">3</data>`); {
		var more bool
		text, more = event()
		require.True(t, more, "the stream has ended")
	}
	t.Logf("a new size is on the page after %s", time.Since(began).Round(time.Millisecond))
}

// stream opens a stream; the returned function returns the next event, and whether there is one.
func (f *fixture) stream(way *rest.Config, token, path string) func() (string, bool) {
	f.Helper()
	way = rest.CopyConfig(way)
	way.BearerToken = token
	client, err := rest.HTTPClientFor(way)
	require.NoError(f, err)
	ctx, cancel := context.WithTimeout(f.Context(), user.Patience)
	f.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, way.Host+path+"?watch=true", http.NoBody)
	require.NoError(f, err)
	request.Header.Set("Accept", "text/event-stream")
	response, err := client.Do(request)
	require.NoError(f, err)
	f.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(f, http.StatusOK, response.StatusCode)
	assert.Equal(f, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return func() (string, bool) {
		var text strings.Builder
		for lines.Scan() {
			if lines.Text() == "" {
				return text.String(), true
			}
			text.WriteString(lines.Text() + "\n")
		}
		assert.NoError(f, lines.Err())
		return text.String(), false
	}
}

// TestShutdown checks that another replica with a reader ends at once when it is stopped.
func TestShutdown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.page(f.Cluster.Config(), "", root+"miniclusters")
	o, err := programs.MetricsOptions(t.Context(), f.Cluster, func(o *app.Options) {
		o.ServicePort = running.ServicePort // the APIServices refer to the other one, and do not change
	})
	require.NoError(t, err)
	replica := programs.Start(t.Context(), "a replica", func(ctx context.Context) error { return app.Run(ctx, o) })

	viewer := f.token("viewer", f.in(f.Namespace, "view"))
	way, path := f.past(), root+"namespaces/"+f.Namespace+"/miniclusters"
	way.Host = "https://" + o.Listener.Addr().String()
	f.page(way, viewer, path, "There are no MiniClusters.")
	event := f.stream(way, viewer, path)
	_, more := event()
	require.True(t, more)
	require.NoError(t, replica.Stop())
	for more {
		_, more = event() // it ended regularly
	}
}
