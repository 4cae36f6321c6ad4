package capacity

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestReserve(t *testing.T) {
	allocatable := Resources{CPU: 184_000, Memory: 493_650_320 << 10, Pods: 660, Other: map[corev1.ResourceName]int64{"nvidia.com/gpu": 3}}
	for text, want := range map[string]Resources{
		"":                     {},
		" ":                    {},
		"0":                    {},
		"0%":                   {},
		"30":                   {CPU: 30_000},
		"15%":                  {CPU: 27_600},
		"100%":                 {CPU: 184_000},
		"0.001%":               {CPU: 2}, // rounded up
		"cpu=500m":             {CPU: 500},
		"cpu=30, memory = 1Gi": {CPU: 30_000, Memory: 1 << 30},
		"memory=12.5%,pods=10": {Memory: 493_650_320 << 7, Pods: 10},
		"nvidia.com/gpu=50%":   {Other: map[corev1.ResourceName]int64{"nvidia.com/gpu": 2}},
		"example.com/none=5%":  {},
		"cpu=184":              {CPU: 184_000},
		"cpu=1k":               {CPU: 1_000_000},
	} {
		t.Run(text, func(t *testing.T) {
			reserve, err := ParseReserve(text)
			require.NoError(t, err)
			assert.Equal(t, want, reserve.Of(&allocatable))
		})
	}
}

func TestReserveOfVeryMuch(t *testing.T) {
	assert.Equal(t, int64(math.MaxInt64), Share{Percent: wholePercent}.of(math.MaxInt64))
	assert.Equal(t, int64(math.MaxInt64/2+1), Share{Percent: wholePercent / 2}.of(math.MaxInt64))
}

func TestReserveErrors(t *testing.T) {
	for text, want := range map[string]string{
		"many":          `reserve "many": "many" is neither a quantity, such as 30 or 64Gi, nor a percentage, such as 15%`,
		"15 percent":    `reserve "15 percent": "15 percent" is neither a quantity, such as 30 or 64Gi, nor a percentage, such as 15%`,
		"-1":            `reserve "-1": "-1" is less than nothing`,
		"-1%":           `reserve "-1%": "-1%" is less than nothing`,
		"101%":          `reserve "101%": "101%" is more than there is`,
		"1e30":          `reserve "1e30": "1e30" is more than there is`,
		"5,cpu=10%":     `reserve "5,cpu=10%": cpu is given twice`,
		"cpu=":          `reserve "cpu=": "" is neither a quantity, such as 30 or 64Gi, nor a percentage, such as 15%`,
		"cpu=5,":        `reserve "cpu=5,": cpu is given twice`,
		"a resource=5%": `reserve "a resource=5%": "a resource" is not the name of a resource: `,
	} {
		_, err := ParseReserve(text)
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), want)
	}
}

func FuzzParseReserve(f *testing.F) {
	for _, text := range []string{"", "30", "15%", "cpu=1,memory=5%", "1e30", "%", "="} {
		f.Add(text, int64(1000))
	}
	f.Fuzz(func(t *testing.T, text string, allocatable int64) {
		reserve, err := ParseReserve(text)
		if err != nil {
			assert.Contains(t, err.Error(), "reserve ")
			return
		}
		for name, share := range reserve {
			assert.GreaterOrEqual(t, share.Amount, int64(0), name)
			if share.Percent > 0 && allocatable >= 0 {
				assert.LessOrEqual(t, share.of(allocatable), allocatable, name)
			}
		}
	})
}
