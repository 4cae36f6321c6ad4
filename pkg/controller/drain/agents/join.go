package agents

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

const (
	// agentTimeout bounds the wait for an agent, which may be unreachable.
	agentTimeout = 3 * time.Second
	// maxConcurrent bounds how many workers wait for agents.
	maxConcurrent = 2
	// maxCause bounds the answer of an agent. The answer comes from a pod of the user and may be arbitrarily long.
	maxCause = 8 << 10
)

// JoinClient asks the agents of pods directly and without encryption. The answer is shown only to the owner of the
// pods.
type JoinClient struct {
	http  *http.Client
	slots chan struct{}
}

// NewJoinClient returns a JoinClient that asks a bounded number of agents at a time.
func NewJoinClient() *JoinClient {
	return &JoinClient{
		http: &http.Client{
			Timeout:       agentTimeout,
			Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true, MaxResponseHeaderBytes: maxCause},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		slots: make(chan struct{}, maxConcurrent),
	}
}

// Cause asks an agent why its broker is not online; false if none answers, or if too many
// requests are in progress.
func (a *JoinClient) Cause(ctx context.Context, ip string, port int32) (plan.Cause, bool) {
	if net.ParseIP(ip) == nil {
		return plan.Cause{}, false
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		return plan.Cause{}, false
	}
	url := "http://" + net.JoinHostPort(ip, strconv.Itoa(int(port))) + plan.PathCause
	cause, err := a.get(ctx, url)
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Failed to ask an agent", "url", url, "reason", err.Error())
		return plan.Cause{}, false
	}
	return cause, cause.Message != ""
}

func (a *JoinClient) get(ctx context.Context, url string) (plan.Cause, error) {
	var cause plan.Cause
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return cause, err
	}
	response, err := a.http.Do(request)
	if err != nil {
		return cause, err
	}
	defer response.Body.Close()
	return cause, json.NewDecoder(io.LimitReader(response.Body, maxCause)).Decode(&cause)
}
