package reserve

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Reserve{
		"":                     {},
		" ":                    {},
		"0":                    {"cpu": {}},
		"0%":                   {"cpu": {}},
		"30":                   {"cpu": {Amount: 30_000}},
		"15%":                  {"cpu": {Percent: 15_000}},
		"100 %":                {"cpu": {Percent: 100_000}},
		"0.0004%":              {"cpu": {Percent: 1}}, // rounded up
		"cpu=500m":             {"cpu": {Amount: 500}},
		"cpu=1k":               {"cpu": {Amount: 1_000_000}},
		"cpu=30, memory = 1Gi": {"cpu": {Amount: 30_000}, "memory": {Amount: 1 << 30}},
		"memory=12.5%,pods=10": {"memory": {Percent: 12_500}, "pods": {Amount: 10}},
		"nvidia.com/gpu=50%":   {"nvidia.com/gpu": {Percent: 50_000}},
		"hugepages-2Mi=4Mi":    {"hugepages-2Mi": {Amount: 4 << 20}},
	} {
		t.Run(text, func(t *testing.T) {
			reserve, err := Parse(text)
			require.NoError(t, err)
			assert.Equal(t, want, reserve)
		})
	}
}

func TestParseErrors(t *testing.T) {
	const (
		number = ` is neither a quantity, such as 30 or 64Gi, nor a percentage, such as 15%`
		name   = ` is not the name of a resource: use cpu, memory, pods, ephemeral-storage, hugepages-SIZE, or a full name such as nvidia.com/gpu`
	)
	for text, want := range map[string]string{
		"many":          `"many"` + number,
		"15 percent":    `"15 percent"` + number,
		"cpu=":          `""` + number,
		"-1":            `"-1" is negative: use 0 or more`,
		"-1%":           `"-1%" is negative: use 0 or more`,
		"101%":          `"101%" is more than all: use at most 100%`,
		"1e30":          `"1e30" is too large: use at most 100%`,
		"5,cpu=10%":     `cpu is set twice: remove one of them`,
		"cpu=5,":        `cpu is set twice: remove one of them`,
		"a resource=5%": `"a resource"` + name,
		"mem=5%":        `"mem"` + name,
		"a/b/c=5%":      `"a/b/c"` + name,
		"=5":            `""` + name,
	} {
		_, err := Parse(text)
		assert.EqualError(t, err, want, text)
	}
}

func TestOf(t *testing.T) {
	assert.Equal(t, int64(30_000), Share{Amount: 30_000}.Of(184_000))
	assert.Equal(t, int64(27_600), Share{Percent: 15_000}.Of(184_000))
	assert.Equal(t, int64(2), Share{Percent: 1}.Of(184_000), "rounded up")
	assert.Equal(t, int64(2), Share{Percent: 50_000}.Of(3), "rounded up")
	assert.Zero(t, Share{Percent: 50_000}.Of(0))
	assert.Equal(t, int64(math.MaxInt64), Share{Percent: wholePercent}.Of(math.MaxInt64))
	assert.Equal(t, int64(math.MaxInt64/2+1), Share{Percent: wholePercent / 2}.Of(math.MaxInt64))
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "30", "15%", "cpu=1,memory=5%", "1e30", "%", "=", "0.0000001%", "nvidia.com/gpu=1", "cpu=1Ei", "a/b/c=1", "1e-9", "+5"} {
		f.Add(text, int64(1000))
	}
	f.Fuzz(func(t *testing.T, text string, allocatable int64) {
		reserve, err := Parse(text)
		again, errAgain := Parse(" " + text + "\t")
		assert.Equal(t, reserve, again, "blanks around it are ignored")
		assert.Equal(t, err == nil, errAgain == nil)
		if err != nil {
			assert.NotEmpty(t, err.Error())
			return
		}
		allocatable = max(allocatable, 0)
		for name, share := range reserve {
			assert.Empty(t, validation.IsQualifiedName(string(name)))
			assert.True(t, share.Amount == 0 || share.Percent == 0, "one of both")
			reserved := share.Of(allocatable)
			assert.GreaterOrEqual(t, reserved, int64(0), name)
			assert.GreaterOrEqual(t, share.Of(allocatable/2+allocatable/3), share.Of(allocatable/2), "of more it is not less")
			if share.Percent > 0 {
				assert.LessOrEqual(t, reserved, allocatable, name)
			}
		}
		if _, twice := Parse("cpu=1," + text); reserve[corev1.ResourceCPU] != (Share{}) {
			assert.Error(t, twice)
		}
	})
}

func TestFromShares(t *testing.T) {
	reserve, name, err := FromShares(map[corev1.ResourceName]intstr.IntOrString{
		"cpu": intstr.FromInt32(30), "memory": intstr.FromString("10%"), "nvidia.com/gpu": intstr.FromString("1"),
	})
	require.NoError(t, err)
	assert.Empty(t, name)
	assert.Equal(t, Reserve{"cpu": {Amount: 30_000}, "memory": {Percent: 10_000}, "nvidia.com/gpu": {Amount: 1}}, reserve)

	_, name, err = FromShares(map[corev1.ResourceName]intstr.IntOrString{"cpu": intstr.FromInt32(-1), "mem": intstr.FromInt32(-1)})
	require.EqualError(t, err, `"-1" is negative: use 0 or more`)
	assert.Equal(t, corev1.ResourceCPU, name, "the first by name")
	_, _, err = FromShares(map[corev1.ResourceName]intstr.IntOrString{"mem": intstr.FromInt32(1)})
	assert.ErrorContains(t, err, `"mem" is not the name of a resource`)
}
