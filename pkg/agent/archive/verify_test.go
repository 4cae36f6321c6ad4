package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tarOf returns an archive of these files.
func tarOf(t *testing.T, zip bool, files ...string) []byte {
	t.Helper()
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, name := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 1000}))
		_, err := w.Write(bytes.Repeat([]byte("x"), 1000))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	if !zip {
		return plain.Bytes()
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write(plain.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return zipped.Bytes()
}

func TestVerify(t *testing.T) {
	zipped, plain := tarOf(t, true, "a", "b"), tarOf(t, false, "a", "b")
	damaged := bytes.Clone(zipped)
	damaged[len(damaged)/2] ^= 0xff
	for name, test := range map[string]struct {
		text []byte
		err  string
	}{
		"gzip":           {zipped, ""},
		"tar":            {plain, ""},
		"zstd":           {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0}, ""},
		"empty":          {nil, "too short"},
		"without files":  {tarOf(t, true), "empty"},
		"truncated gzip": {zipped[:len(zipped)-4], "unexpected EOF"},
		"truncated tar":  {plain[:1200], "unexpected EOF"},
		"damaged":        {damaged, ":"},
		"another file":   {bytes.Repeat([]byte("text "), 200), "header"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "archive")
			require.NoError(t, os.WriteFile(file, test.text, 0o600))
			contents, err := verify(t.Context(), file)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			sum := sha256.Sum256(test.text)
			assert.Equal(t, hex.EncodeToString(sum[:]), contents.Checksum)
			assert.Equal(t, int64(len(test.text)), contents.Bytes)
		})
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	file := filepath.Join(t.TempDir(), "archive")
	require.NoError(t, os.WriteFile(file, tarOf(t, false, "a"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := verify(ctx, file)
	require.Error(t, err)
}

func TestVerifyAndPublish(t *testing.T) {
	dir := t.TempDir()
	file, part := filepath.Join(dir, "archive.tar"), filepath.Join(dir, ".partial-x-archive.tar")
	first, second := tarOf(t, false, "a"), tarOf(t, false, "b")
	require.NoError(t, os.WriteFile(file, first, 0o600))
	require.NoError(t, os.WriteFile(part, second[:100], 0o600))
	_, err := VerifyAndPublish(t.Context(), file, part)
	require.Error(t, err)
	found, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, first, found, "the old archive stands")

	require.NoError(t, os.WriteFile(part, second, 0o600))
	_, err = VerifyAndPublish(t.Context(), file, part)
	require.NoError(t, err)
	for name, want := range map[string][]byte{file: second, previous(file): first} {
		found, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, want, found, name)
	}
	require.NoError(t, os.Remove(file))
	contents, err := VerifyAndPublish(t.Context(), file, "")
	require.NoError(t, err)
	assert.Equal(t, int64(len(first)), contents.Bytes, "the predecessor, if the agent ended between two renames")
}

func TestVerifyContent(t *testing.T) {
	dir := t.TempDir()
	_, err := VerifyContent(dir)
	require.ErrorContains(t, err, "no content")
	file := filepath.Join(dir, "content.sqlite")
	require.NoError(t, os.WriteFile(file, []byte("text that is not a database"), 0o600))
	_, err = VerifyContent(dir)
	require.ErrorContains(t, err, "not a database")
	require.NoError(t, os.WriteFile(file, []byte(sqliteHeader+"content"), 0o600))
	size, err := VerifyContent(dir)
	require.NoError(t, err)
	assert.Equal(t, int64(len(sqliteHeader)+7), size)
}
