package prepare

import (
	"crypto/rand"
	"encoding/json"
	"errors"
)

// parsePasswords reads the file that the controller puts beside the certificate. No
// error shows what is in it.
func parsePasswords(text []byte) (map[string]string, error) {
	var out map[string]string
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, errors.New("the passwords of users are no JSON object of strings")
	}
	return out, nil
}

// passwordHash is the hash of a password for shadow(5), empty for an empty one.
func passwordHash(password string) string {
	if password == "" {
		return ""
	}
	return cryptSHA512(password, rand.Text()[:16])
}
