package flux_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/flux"
)

func ids(t testing.TB, s string) flux.IDSet {
	t.Helper()
	set, err := flux.ParseIDSet(s)
	require.NoError(t, err)
	return set
}

func TestParseIDSet(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "",
		"[]":                 "",
		"0":                  "0",
		"[7]":                "7",
		"0-2,5":              "0-2,5",
		"[0-2,5]":            "0-2,5",
		"5,0,1,2":            "0-2,5",
		"1-3,2-9,9,10":       "1-10",
		"0-0":                "0",
		"0-2147483647":       "0-2147483647",
		"2147483647":         "2147483647",
		"00012":              "12",
		"3-5,1-1,100,4-6,99": "1,3-6,99-100",
	} {
		t.Run(text, func(t *testing.T) { assert.Equal(t, want, ids(t, text).String()) })
	}
	for _, text := range []string{
		"a", "-1", "1-", "-", ",", "1,", ",1", "1,,2", "[1", "1]", "[[1]]", "3-1", "1 ", " 1", "1-2-3", "+1",
		"2147483648", "0-4294967295", "99999999999999999999", "0x10", "ƒ", "1_0",
	} {
		t.Run("bad "+text, func(t *testing.T) {
			_, err := flux.ParseIDSet(text)
			require.Error(t, err)
		})
	}
	_, err := flux.ParseIDSet(strings.Repeat("x", 1<<20))
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 200, "a long text is not repeated")
}

func TestIDSetMethods(t *testing.T) {
	s := ids(t, "1-3,7")
	assert.Equal(t, 4, s.Count())
	assert.False(t, s.Empty())
	for id, in := range map[uint32]bool{0: false, 1: true, 2: true, 3: true, 4: false, 6: false, 7: true, 8: false} {
		assert.Equal(t, in, s.Contains(id), "%d", id)
	}
	last, ok := s.Max()
	assert.True(t, ok)
	assert.Equal(t, uint32(7), last)
	assert.Equal(t, []uint32{1, 2, 3, 7}, slices.Collect(s.All()))
	for id := range s.All() {
		assert.Equal(t, uint32(1), id)
		break
	}

	_, ok = flux.IDSet{}.Max()
	assert.False(t, ok)
	assert.True(t, flux.IDSet{}.Empty())
	assert.Equal(t, "1-3,7", flux.IDs(7, 3, 2, 1, 2, 1<<31).String())
	assert.Equal(t, "2-5", flux.IDRange(2, 5).String())
	assert.Empty(t, flux.IDRange(5, 2).String())
	assert.Equal(t, "5-2147483647", flux.IDRange(5, 1<<32-1).String())
	assert.Equal(t, 1<<31, flux.IDRange(0, flux.MaxID).Count())
}

// The operations have the same results as on plain sets.
func TestIDSetOperations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() (flux.IDSet, map[uint32]bool) {
		var list []uint32
		in := map[uint32]bool{}
		for range random.IntN(20) {
			id := random.Uint32N(30)
			list, in[id] = append(list, id), true
		}
		return flux.IDs(list...), in
	}
	for range 2000 {
		a, inA := draw()
		b, inB := draw()
		var both, either, onlyA []uint32
		for id := range uint32(30) {
			if inA[id] && inB[id] {
				both = append(both, id)
			}
			if inA[id] || inB[id] {
				either = append(either, id)
			}
			if inA[id] && !inB[id] {
				onlyA = append(onlyA, id)
			}
		}
		require.Equal(t, both, slices.Collect(a.Intersect(b).All()), "%s and %s", a, b)
		require.Equal(t, either, slices.Collect(a.Union(b).All()), "%s or %s", a, b)
		require.Equal(t, onlyA, slices.Collect(a.Without(b).All()), "%s without %s", a, b)
		require.Equal(t, len(inA), a.Count())
		some := random.IntN(20)
		require.Equal(t, either[:min(some, len(either))], slices.AppendSeq(either[:0:0], a.Union(b).First(some).All()), "%d of %s", some, a.Union(b))
		require.True(t, a.Union(b).Equal(b.Union(a)))
		require.True(t, a.Equal(ids(t, a.String())))
	}
}

func TestIDSetJSON(t *testing.T) {
	var v struct {
		Set flux.IDSet `json:"set"`
	}
	require.NoError(t, json.Unmarshal([]byte(`{"set":"[4,0-2]"}`), &v))
	data, err := json.Marshal(v)
	require.NoError(t, err)
	assert.JSONEq(t, `{"set":"0-2,4"}`, string(data))
	require.Error(t, json.Unmarshal([]byte(`{"set":"2-0"}`), &v))
	require.Error(t, json.Unmarshal([]byte(`{"set":7}`), &v))
}

func FuzzParseIDSet(f *testing.F) {
	for _, seed := range []string{"", "0-2,5", "[1-3,7]", "2147483647", "9-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := flux.ParseIDSet(text)
		if err != nil {
			return
		}
		again := ids(t, set.String())
		require.True(t, set.Equal(again), "%q is parsed as %s, which is parsed as %s", text, set, again)
		require.LessOrEqual(t, len(set.String()), len(text), "the text of RFC 22 is the shortest")
		if last, ok := set.Max(); ok {
			require.True(t, set.Contains(last))
			require.Equal(t, set.Count()-1, set.Without(flux.IDs(last)).Count())
		}
	})
}
