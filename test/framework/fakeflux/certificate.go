package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"minicluster.internal/operator/pkg/fluxconfig"
)

// checkCertificate reads the instance's certificate as strictly as the broker. It returns a value that only owners of
// the certificate know, so that a follower with another one is rejected.
func checkCertificate(path string, lead bool) (proof string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("Error loading certificate: %w", err) //nolint:staticcheck // the message of Flux
		}
	}()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s: No such file or directory", path)
	} else if err != nil {
		return "", err
	}
	if info.Mode()&0o044 != 0 {
		return "", fmt.Errorf("%s: readable by group/other", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	certificate, err := fluxconfig.ParseCertificate(text, "")
	if err == nil && lead && certificate.Name() == "" {
		err = errors.New("no name in metadata, by which followers are authorized")
	}
	if err != nil {
		return "", fmt.Errorf("%s: Invalid argument: %w", path, err)
	}
	sum := sha256.Sum256([]byte("fakeflux" + certificate.PublicKey()))
	return hex.EncodeToString(sum[:]), nil
}
