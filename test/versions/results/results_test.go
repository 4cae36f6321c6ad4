package results

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "versions.json")
	record, err := Load(path)
	require.NoError(t, err)
	record.Add(Run{Kubernetes: "v1.37.2", Date: "2026-11-28", Tests: 2, Topics: []Topic{{"creation", Failed}}})
	record.Add(Run{Kubernetes: "v1.33.13", Date: "2026-11-29", Tests: 3, Topics: []Topic{{"creation", Passed}, {"bounds", Passed}}})
	record.Add(Run{Kubernetes: "v1.37.2", Date: "2026-11-29", Tests: 3, Topics: []Topic{{"creation", Passed}, {"bounds", Failed}}})
	require.NoError(t, record.Save(path))
	again, err := Load(path)
	require.NoError(t, err)
	assert.Equal(t, record, again)
	assert.Equal(t, `| Kubernetes | tested | tests | passed | failed |
|---|---|---|---|---|
| 1.37.2 | 2026-11-29 | 3 | creation | bounds |
| 1.36.3 | not yet | | | |
| 1.35.4 | not yet | | | |
| 1.34.4 | not yet | | | |
| 1.33.13 | 2026-11-29 | 3 | creation, bounds | none |
`, again.Table())
}
