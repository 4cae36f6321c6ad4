package promsource

import (
	"bufio"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"time"
)

// reloadInterval is the time for which the content of a file is used.
const reloadInterval = time.Minute

// credentials adds headers and basic authentication from files to requests.
type credentials struct {
	next                        http.RoundTripper
	username, password, headers *file
}

func newCredentials(c Connection, next http.RoundTripper) *credentials {
	return &credentials{next: next, username: newFile(c.UsernameFile), password: newFile(c.PasswordFile), headers: newFile(c.HeadersFile)}
}

// RoundTrip implements http.RoundTripper.
func (c *credentials) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	text, err := c.headers.read()
	if err != nil {
		return nil, err
	}
	headers, err := parseHeaders(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the headers in %s: %w", c.headers.path, err)
	}
	for name, values := range headers {
		request.Header[name] = values
	}
	if c.username != nil {
		username, err := c.username.read()
		if err != nil {
			return nil, err
		}
		password, err := c.password.read()
		if err != nil {
			return nil, err
		}
		request.SetBasicAuth(strings.TrimSpace(username), strings.TrimRight(password, "\r\n"))
	}
	return c.next.RoundTrip(request) //nolint:wrapcheck // returned unchanged
}

// parseHeaders parses lines of the form "Name: value". It ignores empty lines and comments.
func parseHeaders(text string) (textproto.MIMEHeader, error) {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines.WriteString(line + "\r\n")
		}
	}
	lines.WriteString("\r\n")
	return textproto.NewReader(bufio.NewReader(strings.NewReader(lines.String()))).ReadMIMEHeader() //nolint:wrapcheck // the caller wraps
}

// file is a file that is reloaded. A nil file is empty.
type file struct {
	path string

	mu   sync.Mutex
	at   time.Time
	text string
}

// newFile returns nil for an empty path.
func newFile(path string) *file {
	if path == "" {
		return nil
	}
	return &file{path: path}
}

func (f *file) read() (string, error) {
	if f == nil {
		return "", nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.at.IsZero() && time.Since(f.at) < reloadInterval {
		return f.text, nil
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return "", fmt.Errorf("reading the credentials for Prometheus: %w", err)
	}
	f.text, f.at = string(content), time.Now()
	return f.text, nil
}
