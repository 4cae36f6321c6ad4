package prepare

import (
	"crypto/rand"
	"encoding/json"
	"errors"
)

// parsePasswords reads the file that the controller mounts beside the certificate. Errors do not contain its content.
func parsePasswords(text []byte) (map[string]string, error) {
	var out map[string]string
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, errors.New("the passwords of users are not a JSON object of strings")
	}
	return out, nil
}

// passwordHash returns the hash of a password for shadow(5), "" for an empty password.
func passwordHash(password string) string {
	if password == "" {
		return ""
	}
	return cryptSHA512(password, rand.Text()[:16])
}
