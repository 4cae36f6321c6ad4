package fluxconfig

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseHostlist(t *testing.T) {
	// The first group has the test vectors of RFC 29, the second has lists with the output of the real Flux (flux
	// hostlist --expand).
	for _, tc := range []struct {
		in, canonical string
		hosts         []string
	}{
		{"", "", nil},
		{"foox,fooy,fooz", "foox,fooy,fooz", []string{"foox", "fooy", "fooz"}},
		{"[1-3,5-6]", "[1-3,5-6]", []string{"1", "2", "3", "5", "6"}},
		{"foo[1-5]", "foo[1-5]", []string{"foo1", "foo2", "foo3", "foo4", "foo5"}},
		{"foo[0-2]-eth2", "foo[0-2]-eth2", []string{"foo0-eth2", "foo1-eth2", "foo2-eth2"}},
		{"foo1,foo1,foo1", "foo[1,1,1]", []string{"foo1", "foo1", "foo1"}},
		{"[00-02]", "[00-02]", []string{"00", "01", "02"}},
		{"[00-2]", "[00-02]", []string{"00", "01", "02"}},
		{"foo[1,1,2,1]", "foo[1,1-2,1]", []string{"foo1", "foo1", "foo2", "foo1"}},

		{"flux-sample-0", "flux-sample-0", []string{"flux-sample-0"}},
		{"flux-sample-[0]", "flux-sample-0", []string{"flux-sample-0"}},
		{"flux-sample-0,flux-sample-[1-3]", "flux-sample-[0-3]",
			[]string{"flux-sample-0", "flux-sample-1", "flux-sample-2", "flux-sample-3"}},
		{"foo[0-3,18,4,20]", "foo[0-3,18,4,20]", []string{"foo0", "foo1", "foo2", "foo3", "foo18", "foo4", "foo20"}},
		{" ,,a,\tb c,", "a,b,c", []string{"a", "b", "c"}},
		{"foo[09-10]", "foo[09-10]", []string{"foo09", "foo10"}},
		{"foo[9-10]", "foo[9-10]", []string{"foo9", "foo10"}},
		{"foo09,foo10", "foo[09-10]", []string{"foo09", "foo10"}},
		{"foo01,foo2", "foo01,foo2", []string{"foo01", "foo2"}},
		{"foo[05,10]", "foo[05,10]", []string{"foo05", "foo10"}},
		{"foo[98-0101]", "foo[98-101]", []string{"foo98", "foo99", "foo100", "foo101"}},
		{"foo[098-101]", "foo[098-101]", []string{"foo098", "foo099", "foo100", "foo101"}},
		{"foo1[8-11]", "foo[18-19,110-111]", []string{"foo18", "foo19", "foo110", "foo111"}},
		{"foo0[1-2]", "foo[01-02]", []string{"foo01", "foo02"}},
		{"foo1[09-10]", "foo[109-110]", []string{"foo109", "foo110"}},
		{"foo1[5],foo1[6-7]", "foo[15-17]", []string{"foo15", "foo16", "foo17"}},
		{"a[1]-x,a[2-3]-x", "a1-x,a[2-3]-x", []string{"a1-x", "a2-x", "a3-x"}},
		{"a[1-2]-0", "a[1-2]-0", []string{"a1-0", "a2-0"}},
		{"24.123.50.123,flux-sample-[1-2],burst-0-[0-1]", "24.123.50.123,flux-sample-[1-2],burst-0-[0-1]",
			[]string{"24.123.50.123", "flux-sample-1", "flux-sample-2", "burst-0-0", "burst-0-1"}},
		{"x12345678901234567890", "x12345678901234567890", []string{"x12345678901234567890"}},
	} {
		t.Run(tc.in, func(t *testing.T) {
			h, err := ParseHostlist(tc.in)
			require.NoError(t, err)
			assert.Equal(t, tc.canonical, h.String())
			assert.Equal(t, len(tc.hosts), h.Count())
			hosts, err := expand(h, 100)
			require.NoError(t, err)
			assert.Equal(t, append([]string{}, tc.hosts...), hosts)

			again, err := ParseHostlist(h.String())
			require.NoError(t, err)
			assert.Equal(t, h, again)
		})
	}
}

func TestParseHostlistErrors(t *testing.T) {
	for in, want := range map[string]string{
		"foo[1-3":                 "an opening bracket without a closing one",
		"foo1-3]":                 "a closing bracket without an opening one",
		"foo[]":                   "an id is missing",
		"foo[1,]":                 "an id is missing",
		"foo[3-1]":                `range "3-1" is reversed`,
		"foo[-1]":                 "an id is missing",
		"foo[1--2]":               `"-2" is not an id`,
		"foo[1-]":                 "an id is missing",
		"foo[+1]":                 `"+1" is not an id`,
		"foo[ 1-2 ]":              `" 1" is not an id`,
		"foo[0x1]":                `"0x1" is not an id`,
		"a,b,foo[[1]]":            "entry 3",
		"a[[1]]":                  "more than one pair of brackets",
		"a[1-2]b[3-4]":            "more than one pair of brackets",
		"a[1]]":                   "more than one pair of brackets",
		"foo[0-1048576]":          "more than 1048576 hosts, which Flux rejects",
		"foo[0-9999999]":          "more than 1048576 hosts, which Flux rejects",
		"foo[005,4]":              `id "4" is not padded like the first one`,
		"n[1,01]":                 `id "01" is not padded like the first one`,
		"n[007-10,8]":             `id "8" is not padded like the first one`,
		"x[99999999999999999999]": "is too long",
		"a\nb":                    "not printable ASCII",
		"knoten-ä":                "not printable ASCII",
		"a\x00":                   "not printable ASCII",
		"n[" + strings.Repeat("1,3,", MaxHostRanges/2) + "1]": "more than 10240 ranges in brackets",
		strings.Repeat("a,b,", MaxHostRanges/2+1):             "more than 10240 ranges and single hosts",
	} {
		t.Run(abbreviate(in), func(t *testing.T) {
			_, err := ParseHostlist(in)
			require.ErrorContains(t, err, want)
			assert.Less(t, len(err.Error()), 300)
		})
	}
}

func TestHostlistOfTenMillionHosts(t *testing.T) {
	var exprs []string
	for i := range 10 {
		exprs = append(exprs, fmt.Sprintf("h[%d-%d]", i*1_000_000, i*1_000_000+999_999))
	}
	h, err := ParseHostlist(strings.Join(exprs, ","))
	require.NoError(t, err)
	// Ranges are not joined beyond the limit of Flux, although the IDs are consecutive.
	assert.Equal(t, "h["+strings.NewReplacer("h[", "", "]", "").Replace(strings.Join(exprs, ","))+"]", h.String())

	allocs := testing.AllocsPerRun(10, func() {
		assert.Equal(t, 10_000_000, h.Count())
		rank, ok := h.Index("h9999999")
		assert.True(t, ok)
		assert.Equal(t, 9_999_999, rank)
	})
	assert.Less(t, allocs, 200.0)
	_, err = expand(h, 100_000)
	require.EqualError(t, err, "expand host list: 10000000 hosts, more than 100000")
	_, duplicate := h.Duplicate()
	assert.False(t, duplicate)
}

func TestNumberedHosts(t *testing.T) {
	for _, tc := range []struct {
		prefix   string
		first, n int
		want     string
	}{
		{"flux-sample-", 0, 10000, "flux-sample-[0-9999]"},
		{"flux-sample-", 0, 1, "flux-sample-0"},
		{"flux-sample-", 1, 1, "flux-sample-1"},
		{"flux-sample-", 1, 3, "flux-sample-[1-3]"},
		{"flux-sample-", 0, 0, ""},
		{"flux-sample-", 0, MaxHostRange, "flux-sample-[0-1048575]"},
	} {
		h, err := NumberedHosts(tc.prefix, tc.first, tc.n)
		require.NoError(t, err)
		assert.Equal(t, tc.want, h.String())
		assert.Equal(t, tc.n, h.Count())
	}
	for _, tc := range []struct {
		prefix   string
		first, n int
	}{{"a", -1, 1}, {"a", 0, -1}, {"a", 0, MaxHostRange + 1}, {"a[", 0, 1}, {"a,b", 0, 1}} {
		_, err := NumberedHosts(tc.prefix, tc.first, tc.n)
		require.Error(t, err)
	}
}

func TestHostlistOperations(t *testing.T) {
	h := mustHosts(t, "lead-0,lead-[1-3],b[08-11],x[0-1]-y,z")
	for rank, host := range h.All() {
		got, ok := h.Index(host)
		assert.True(t, ok, host)
		assert.Equal(t, rank, got, host)
	}
	for _, host := range []string{"", "lead-4", "lead-01", "b8", "b12", "b010", "x2-y", "x0", "zz", "lead-"} {
		_, ok := h.Index(host)
		assert.False(t, ok, host)
	}
	assert.Equal(t, "lead-0", h.First())
	assert.Equal(t, "lead-[1-3],b[08-11],x[0-1]-y,z", h.Rest().String())
	assert.Equal(t, "lead-[0-3],b[08-11],x[0-1]-y,z", h.String(), "Rest does not modify the list")
	assert.Equal(t, h.Count()-5, h.Rest().Rest().Rest().Rest().Rest().Count())
	assert.Empty(t, Hostlist{}.First())
	assert.Equal(t, Hostlist{}, Hostlist{}.Rest())
	assert.Equal(t, "a[1-4]", mustHosts(t, "a[1-2]").Append(mustHosts(t, "a3"), mustHosts(t, "a4")).String())

	base := mustHosts(t, "a[1-2]")
	first, second := base.Append(mustHosts(t, "b")), base.Append(mustHosts(t, "a3"))
	assert.Equal(t, "a[1-2],b", first.String(), "lists share nothing")
	assert.Equal(t, "a[1-3]", second.String())
	for range h.All() {
		break
	}
}

func TestHostlistCheckNames(t *testing.T) {
	for _, ok := range []string{"a", "A-1", "24.123.50.123", "a.b.c", "flux-sample-[0-9999]", "n[0-1].example.com", strings.Repeat("a", 63)} {
		require.NoError(t, mustHosts(t, ok).CheckNames(), ok)
	}
	for in, want := range map[string]string{
		"a_b":                              "only letters, digits, hyphens and dots",
		"-a":                               "hyphen",
		"a-":                               "hyphen",
		"a..b":                             "1 to 63",
		"a.":                               "1 to 63",
		"[0-1]-":                           "hyphen",
		"a/b":                              "only letters",
		strings.Repeat("a", 64):            "1 to 63",
		strings.Repeat("a", 62) + "[9-10]": "1 to 63",
		strings.Repeat("abc.", 64) + "de":  "1 to 253",
	} {
		assert.ErrorContains(t, mustHosts(t, in).CheckNames(), want, in)
	}
}

func TestHostlistDuplicate(t *testing.T) {
	for in, want := range map[string]string{
		"a,b,a":                 "a",
		"a[0-3],a[2-5]":         "a2",
		"a[0-3],b[0-3],a3":      "a3",
		"a[1,1]":                "a1",
		"a1[0-9],a15":           "a15",
		"a[08-12],a11":          "a11",
		"a[08-12],a09":          "a09",
		"a[008-120],a[118-119]": "a118",
		"a[0-1].x,a0.x":         "a0.x",
		"a[0-3].x,a[3-4].x":     "a3.x",
		"a[08-12].x,a[12-13].x": "a12.x",
		"x12345678901234567890,x[1-2],x12345678901234567890": "x12345678901234567890",
	} {
		got, ok := mustHosts(t, in).Duplicate()
		assert.True(t, ok, in)
		assert.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "a", "a[0-9]", "a[08-12],a[8-9]", "a[0-3],a[4-5],b[0-5]", "a[0-3].x,a[0-3].y,a0", "a[01-02],a[001-002],a[1-2]"} {
		got, ok := mustHosts(t, in).Duplicate()
		assert.False(t, ok, "%s: %s", in, got)
	}
}

// FuzzHostlist checks that an accepted list prints as a list with the same hosts, and that counting, listing and
// searching are consistent.
func FuzzHostlist(f *testing.F) {
	for _, s := range []string{
		"", "a", "flux-sample-[0-9999]", "foo[09-10],foo11", "a1[8-12]", "[0-1]-x,a", "n[007-10],n8", "a[0-1]0,a[0-1]",
		"x12345678901234567[0-9]", "h[0-1048575],h[1048576-1048577]", "0[0-9]", "a[1-010],,b c\td",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		h, err := ParseHostlist(in)
		if err != nil {
			assert.Less(t, len(err.Error()), 500)
			return
		}
		again, err := ParseHostlist(h.String())
		require.NoError(t, err)
		require.Equal(t, h, again)
		_, duplicate := h.Duplicate()

		hosts, err := expand(h, 2000)
		if err != nil {
			return
		}
		require.Len(t, hosts, h.Count())
		first := make(map[string]int)
		for i, host := range hosts {
			if _, ok := first[host]; !ok {
				first[host] = i
			}
			rank, ok := h.Index(host)
			require.True(t, ok, host)
			require.Equal(t, first[host], rank, host)
		}
		if duplicate {
			require.Less(t, len(first), len(hosts))
		}
		if len(hosts) > 0 {
			rest, err := expand(h.Rest(), 2000)
			require.NoError(t, err)
			require.Equal(t, hosts[1:], rest)
		}
	})
}

func mustHosts(t *testing.T, text string) Hostlist {
	t.Helper()
	h, err := ParseHostlist(text)
	require.NoError(t, err, text)
	return h
}

// expand returns the list of all hosts, or an error if there are more than limit.
func expand(h Hostlist, limit int) ([]string, error) {
	n := h.Count()
	if n > limit {
		return nil, fmt.Errorf("expand host list: %d hosts, more than %d", n, limit)
	}
	hosts := make([]string, 0, n)
	for _, host := range h.All() {
		hosts = append(hosts, host)
	}
	return hosts, nil
}
