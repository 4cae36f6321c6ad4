package resources

import (
	"encoding/json"
	"fmt"
	"io"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Generated passwords have the largest length that flux-operator allows. Their alphabet has letters and digits that
// are hard to confuse. It has exactly 32 of them, since a number that does not divide 256 would make the distribution
// uneven.
const (
	passwordLength   = 8
	passwordAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"
)

// passwords returns the passwords of users by name. A user without one gets a random password.
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
