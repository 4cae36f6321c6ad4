package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Client asks the agent of one cluster's lead.
type Client struct{ http *http.Client }

// NewClient makes a client with the certificates of a cluster's Secret. host is the
// name of the lead's host that they were made for. The error is
// [ErrNoCredentials] when there are none.
func NewClient(data map[string][]byte, host string) (*Client, error) {
	config, err := clientTLS(data, host)
	if err != nil {
		return nil, err
	}
	return &Client{http: &http.Client{
		Timeout: Timeout + Timeout/2,
		Transport: &http.Transport{
			TLSClientConfig: config,
			// Requests are few, and clusters many.
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// RefusedError is an answer of the agent that it could not do what was asked.
type RefusedError struct {
	// Code is the HTTP status: 503 when its broker does not answer.
	Code int
	// Text says why.
	Text string
}

// Error is the text.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the agent answered %d: %s", e.Code, e.Text)
}

// Resize tells the agent at a pod's address the size that the cluster is to have,
// and returns how far it is. Calling it again is how one waits. The error is a
// [*RefusedError] when the agent answered, and another when it could not be reached.
func (c *Client) Resize(ctx context.Context, ip string, port, size int) (State, error) {
	body, err := json.Marshal(Resize{Size: size})
	if err != nil {
		return State{}, fmt.Errorf("encode the request: %w", err)
	}
	url := "https://" + net.JoinHostPort(ip, strconv.Itoa(port)) + PathResize
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return State{}, fmt.Errorf("ask the agent: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return State{}, fmt.Errorf("ask the agent: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return State{}, fmt.Errorf("read the agent's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return State{}, &RefusedError{Code: resp.StatusCode, Text: strings.TrimSpace(string(text))}
	}
	var state State
	if err := json.Unmarshal(text, &state); err != nil {
		return State{}, errors.Join(errors.New("the agent's answer is no state"), err)
	}
	return state, nil
}
