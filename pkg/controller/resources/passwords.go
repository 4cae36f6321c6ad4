package resources

import (
	"encoding/json"
	"fmt"
	"io"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Passwords that are made have the length that flux-operator allows at most, of
// letters and digits that are hard to mistake for each other: 64 of them less those
// would not divide a byte evenly, so that there are 32.
const (
	passwordLength   = 8
	passwordAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"
)

// passwords maps users to their passwords; one who has none gets a random one.
func passwords(users []v1alpha2.MiniClusterUser, random io.Reader) ([]byte, error) {
	byName := make(map[string]string, len(users))
	for _, user := range users {
		password := user.Password
		if password == "" {
			var err error
			if password, err = randomPassword(random); err != nil {
				return nil, err
			}
		}
		byName[user.Name] = password
	}
	text, err := json.Marshal(byName)
	if err != nil {
		return nil, fmt.Errorf("encoding the passwords of users: %w", err)
	}
	return text, nil
}

func randomPassword(random io.Reader) (string, error) {
	text := make([]byte, passwordLength)
	if _, err := io.ReadFull(random, text); err != nil {
		return "", fmt.Errorf("making a password: %w", err)
	}
	for i, b := range text {
		text[i] = passwordAlphabet[int(b)%len(passwordAlphabet)]
	}
	return string(text), nil
}
