package flux_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/flux"
)

func TestParseHosts(t *testing.T) {
	for list, want := range map[string]string{
		"":                                  "",
		"login":                             "login",
		"flux-sample-[0-2]":                 "flux-sample-0 flux-sample-1 flux-sample-2",
		"a[1,3-4],b,c7":                     "a1 a3 a4 b c7",
		"n[08-10]":                          "n08 n09 n10",
		"rack[1-2]-n":                       "rack1-n rack2-n",
		"flux-sample-[0,2].svc,flux-sample": "flux-sample-0.svc flux-sample-2.svc flux-sample",
	} {
		got, err := flux.ParseHosts(list)
		assert.NoError(t, err, list)
		assert.Equal(t, want, strings.Join(got, " "), list)
	}
	for _, list := range []string{"a[0-", "a[x]", "a[2-1]", "a[0-1][0-1]", "a[0-2147483647]", "a[0-200000],b[0-200000]"} {
		_, err := flux.ParseHosts(list)
		assert.ErrorContains(t, err, "host list", list)
	}
}

// FuzzParseHosts checks that parsing ends for any list, with a bounded result.
func FuzzParseHosts(f *testing.F) {
	for _, list := range []string{"a[0-2],b", "n[08-10]x", "a[", "]", "a[0-99999999]", ",,"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := flux.ParseHosts(list)
		if err == nil {
			assert.LessOrEqual(t, len(hosts), max(flux.MaxNodes, len(list)))
		}
	})
}
