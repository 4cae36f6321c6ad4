package console_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/test/framework/console"
)

const page = "text\n" +
	"```console\n" +
	"$ kubectl get pods\n" +
	"NAME                  READY   AGE\n" +
	"flux-sample-0-xbvlv   1/1     64s\n" +
	"\n" +
	"== A title\n" +
	"$ kubectl get mc \\\n" +
	"    -o name\n" +
	"```\n" +
	"```yaml\n" +
	"$ no command\n" +
	"```\n"

func TestParse(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []console.Command{
		{Number: 3, Line: "kubectl get pods", Output: "NAME                  READY   AGE\nflux-sample-0-xbvlv   1/1     64s\n\n"},
		{Number: 8, Line: "kubectl get mc \\\n    -o name"},
	}, console.Parse(page))
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, one, other string }{
		{"ages, suffixes and columns", "flux-sample-0-xbvlv   1/1   2m1s\n", "flux-sample-0-mnsf5 1/1 3s"},
		{"JSON in several lines", "{\"a\":1,\n \"uid\":\"f3d3be38-dee2-4e08-98b5-c659ec55d3eb\"}", `{"uid":"e08d70f2-5ab8-48ac-b1f1-305541b1028f","a":1}`},
		{"names of Secrets", "secret/flux-sample-curve-f5eee350 Opaque", "secret/flux-sample-curve-00eee351 Opaque"},
		{"percentages of an autoscaler", "cpu: 11%/50%   2", "cpu: 9%/50%   2"},
	} {
		assert.Equal(t, console.Normalize(c.one), console.Normalize(c.other), c.name)
	}
	for _, c := range []struct{ name, one, other string }{
		{"another index", "flux-sample-0-xbvlv 1/1", "flux-sample-1-xbvlv 1/1"},
		{"another number", "configmap/flux-sample-config 2 1s", "configmap/flux-sample-config 6 1s"},
		{"another text", "size is back at 4", "size is now 4"},
	} {
		assert.NotEqual(t, console.Normalize(c.one), console.Normalize(c.other), c.name)
	}
}

func TestRepeatable(t *testing.T) {
	t.Parallel()
	assert.True(t, console.Repeatable("kubectl get pods"))
	assert.True(t, console.Repeatable("kubectl wait mc/a --for=condition=Ready"))
	assert.False(t, console.Repeatable("sed s/4/5/ a.yaml | kubectl apply -f -"))
	assert.False(t, console.Repeatable("kubectl scale mc/a --replicas=2"))
}
