package record

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.json")
	numbers := map[string]int{"before": 1}
	require.NoError(t, Load(path, &numbers))
	assert.Equal(t, map[string]int{"before": 1}, numbers, "without a file nothing changes")

	require.NoError(t, Save(path, map[string]int{"a": 2}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "{\n  \"a\": 2\n}\n", string(content))
	numbers = nil
	require.NoError(t, Load(path, &numbers))
	assert.Equal(t, map[string]int{"a": 2}, numbers)

	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	require.ErrorContains(t, Load(path, &numbers), path)
	require.ErrorContains(t, Save(path, func() {}), "encoding the record")
	require.ErrorContains(t, Save(filepath.Join(path, "below"), 1), "writing the record")
}
