package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// sqliteHeader begins the file in the state directory, as it does that of Flux.
const sqliteHeader = "SQLite format 3\x00"

// stateEntry is the only file in an archive.
const stateEntry = "fakeflux.json"

// writeArchive writes a tar file, with the compression that its name says, as flux dump does.
func writeArchive(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var out io.Writer = f
	var zip *gzip.Writer
	if strings.HasSuffix(name, "gz") {
		zip = gzip.NewWriter(f)
		out = zip
	}
	files := tar.NewWriter(out)
	err = files.WriteHeader(&tar.Header{Name: stateEntry, Mode: 0o600, Size: int64(len(text))})
	if err == nil {
		_, err = files.Write(text)
	}
	err = errors.Join(err, files.Close())
	if zip != nil {
		err = errors.Join(err, zip.Close())
	}
	return errors.Join(err, f.Close())
}

// readState reads the file in the state directory, or an archive.
func readState(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if state, ok := bytes.CutPrefix(text, []byte(sqliteHeader)); ok {
		return state, nil
	}
	var in io.Reader = bytes.NewReader(text)
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
	}
	files := tar.NewReader(in)
	if _, err := files.Next(); err != nil {
		return nil, fmt.Errorf("%s is not an archive: %w", name, err)
	}
	return io.ReadAll(files)
}
