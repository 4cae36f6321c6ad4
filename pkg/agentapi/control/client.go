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
	"syscall"
	"time"
)

// maxResponse limits what is read of a response, in bytes.
const maxResponse = 64 << 10

// dialTimeout limits the time to connect. It is shorter than that of a request, so that an agent that cannot be
// connected to differs from one that does not respond.
const dialTimeout = 3 * time.Second

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
			DialContext:     (&net.Dialer{Timeout: dialTimeout}).DialContext,
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

// Unconnected reports whether an error of a request means that no connection to the agent could be made although
// nothing refused it, as when a network policy drops the packets.
func Unconnected(err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return false
	}
	return op.Timeout() || errors.Is(op, syscall.EHOSTUNREACH) || errors.Is(op, syscall.EACCES)
}

// Resize sends the new size of the cluster to the agent at the address of a pod, and returns its progress. To wait,
// repeat the call. The error is a [*RefusedError] if the agent responded with an error, and another one if it could
// not be reached.
func (c *Client) Resize(ctx context.Context, ip string, port, size int) (State, error) {
	var state State
	if err := c.post(ctx, ip, port, PathResize, Resize{Size: size}, &state); err != nil {
		return State{}, err
	}
	return state, nil
}

// LowerQuorum sends a quorum that was lowered to the agent at the address of a pod. A lead broker that still waits for
// more brokers is restarted. Errors are those of Resize.
func (c *Client) LowerQuorum(ctx context.Context, ip string, port, quorum int) error {
	return c.post(ctx, ip, port, PathQuorum, Quorum{Quorum: quorum}, &struct{}{})
}

// post sends a request and decodes the response.
func (c *Client) post(ctx context.Context, ip string, port int, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	url := "https://" + net.JoinHostPort(ip, strconv.Itoa(port)) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request to the agent: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("request to the agent: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return fmt.Errorf("read the response of the agent: %w", err)
	}
	if len(text) > maxResponse {
		return fmt.Errorf("the response of the agent is larger than %d bytes", maxResponse)
	}
	if resp.StatusCode != http.StatusOK {
		return &RefusedError{Code: resp.StatusCode, Text: strings.TrimSpace(string(text))}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return errors.Join(errors.New("the response of the agent is malformed"), err)
	}
	return nil
}
