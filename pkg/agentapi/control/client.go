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

// maxResponse limits what is read of a response, in bytes.
const maxResponse = 64 << 10

// Client sends requests to the agent of a cluster's lead.
type Client struct{ http *http.Client }

// NewClient returns a client with the certificates of a cluster's Secret. host is the host name of the lead for which
// they were issued. The error is [ErrNoCredentials] if there are none.
func NewClient(data map[string][]byte, host string) (*Client, error) {
	config, err := clientTLS(data, host)
	if err != nil {
		return nil, err
	}
	return &Client{http: &http.Client{
		Timeout: Timeout + Timeout/2,
		Transport: &http.Transport{
			TLSClientConfig: config,
			// There are few requests to many clusters, so connections are not kept.
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// RefusedError is an error response of the agent.
type RefusedError struct {
	// Code is the HTTP status: 503 if the broker does not respond.
	Code int
	// Text is the reason.
	Text string
}

// Error returns the code and the reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the agent responded with %d: %s", e.Code, e.Text)
}

// Resize sends the new size of the cluster to the agent at the address of a pod, and returns its progress. To wait,
// repeat the call. The error is a [*RefusedError] if the agent responded with an error, and another one if it could
// not be reached.
func (c *Client) Resize(ctx context.Context, ip string, port, size int) (State, error) {
	body, err := json.Marshal(Resize{Size: size})
	if err != nil {
		return State{}, fmt.Errorf("encode the request: %w", err)
	}
	url := "https://" + net.JoinHostPort(ip, strconv.Itoa(port)) + PathResize
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return State{}, fmt.Errorf("request to the agent: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return State{}, fmt.Errorf("request to the agent: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return State{}, fmt.Errorf("read the response of the agent: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return State{}, &RefusedError{Code: resp.StatusCode, Text: strings.TrimSpace(string(text))}
	}
	var state State
	if err := json.Unmarshal(text, &state); err != nil {
		return State{}, errors.Join(errors.New("the response of the agent is malformed"), err)
	}
	return state, nil
}
