package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// Contents describes an archive that was read completely.
type Contents struct {
	// Bytes is the size of the file.
	Bytes int64
	// Checksum is its SHA-256, in hex.
	Checksum string
	// Entries is the number of files in it; -1 if its compression is not known here.
	Entries int
}

// sqliteHeader begins the database of the content of an instance.
const sqliteHeader = "SQLite format 3\x00"

// verify reads an archive back from the disk, completely. An archive that is truncated or damaged is an error: a gzip
// or bzip2 stream has checksums, and a tar file has a checksum for each header, and an end.
func verify(ctx context.Context, file string) (Contents, error) {
	f, err := os.Open(file)
	if err != nil {
		return Contents{}, fmt.Errorf("verify the archive: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	counter := &countingReader{ctx: ctx, r: io.TeeReader(f, sum)}
	in := bufio.NewReaderSize(counter, 1<<20)
	entries, err := countEntries(in)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // what follows the end of the tar file
	}
	if err != nil {
		return Contents{}, fmt.Errorf("verify the archive %s: %w", file, err)
	}
	return Contents{Bytes: counter.n, Checksum: hex.EncodeToString(sum.Sum(nil)), Entries: entries}, nil
}

// countEntries reads a tar file to its end, and returns the number of files in it.
func countEntries(in *bufio.Reader) (int, error) {
	magic, err := in.Peek(6)
	if err != nil {
		return 0, errors.New("the file is too short")
	}
	var plain io.Reader = in
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		if plain, err = gzip.NewReader(in); err != nil {
			return 0, err
		}
	case bytes.HasPrefix(magic, []byte("BZh")):
		plain = bzip2.NewReader(in)
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")), bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return -1, nil // xz and zstd: only the checksum of the file
	}
	entries := 0
	for files := tar.NewReader(plain); ; entries++ {
		_, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			_, err = io.Copy(io.Discard, files)
		}
		if err != nil {
			return 0, err
		}
	}
	if entries == 0 {
		return 0, errors.New("the archive is empty")
	}
	_, err = io.Copy(io.Discard, plain) // reads the checksum of the compression
	return entries, err
}

// VerifyContent checks that a state directory has the content of an instance, and returns its size.
func VerifyContent(stateDir string) (int64, error) {
	found, err := contentFiles(stateDir)
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, fmt.Errorf("the state directory %s has no content", stateDir)
	}
	var size int64
	header := make([]byte, len(sqliteHeader))
	for i, name := range found {
		f, err := os.Open(name)
		if err != nil {
			return 0, fmt.Errorf("verify the content: %w", err)
		}
		info, err := f.Stat()
		if err == nil {
			size += info.Size()
		}
		if err == nil && i == 0 { // content.sqlite sorts before its journal
			_, err = io.ReadFull(f, header)
		}
		f.Close()
		if err != nil {
			return 0, fmt.Errorf("verify the content: %s: %w", name, err)
		}
	}
	if string(header) != sqliteHeader {
		return 0, fmt.Errorf("verify the content: %s is not a database", found[0])
	}
	return size, nil
}

// countingReader counts what it reads, and stops when its context ends: a file system may be slow.
type countingReader struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
