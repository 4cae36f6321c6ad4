package promsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"
)

// maxAnswer bounds what is read of an answer: a series has some 200 bytes. Read, it takes nine times as much
// for a moment, and four times as much as long as it is kept.
const maxAnswer = 4 << 20

// Connection says how to reach a Prometheus.
type Connection struct {
	// URL is where its paths begin: /api/v1/query is below it.
	URL string
	// BearerTokenFile has a token that is sent along, and is read again each minute; "" for
	// none.
	BearerTokenFile string
	// CAFile has the authorities that may sign its certificate; "" for those of the
	// system.
	CAFile string
}

// Connect makes the client. Nothing is sent yet.
func Connect(c Connection) (promv1.API, error) {
	// The same as for an API server: a token or an authority that was replaced is noticed.
	transport, err := rest.TransportFor(&rest.Config{
		BearerTokenFile: c.BearerTokenFile, TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAFile},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the connection to Prometheus: %w", err)
	}
	client, err := api.NewClient(api.Config{Address: c.URL, Client: &http.Client{
		Transport: bounded{transport},
		// A token is for nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, fmt.Errorf("setting up the connection to Prometheus: %w", err)
	}
	return promv1.NewAPI(client), nil
}

// bounded bounds the answers that it passes on.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is that of the transport
	}
	response.Body = &limited{ReadCloser: response.Body, left: maxAnswer}
	return response, nil
}

// limited is a body of which more than a number of bytes is an error.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d MiB", maxAnswer>>20)
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err //nolint:wrapcheck // io.EOF must stay what it is
}

// maxDetail bounds what a message shows of an answer that is none of Prometheus' API.
const maxDetail = 200

// errRefused is of a query that can't be right: Prometheus can't read it, or its answer is
// of a kind that no metric can be made of.
var errRefused = errors.New("the query is wrong")

// ask runs a query.
func ask(ctx context.Context, prometheus promv1.API, d *definition, timeout time.Duration) (*answer, error) {
	value, warnings, _, err := prometheus.Query(ctx, d.Query, time.Time{}, promv1.WithTimeout(timeout))
	if err != nil {
		return nil, explain(ctx, err)
	}
	// A Prometheus of 2024 and before has among them what it calls infos, such as that a counter has an unusual name.
	warnings = slices.DeleteFunc(warnings, func(w string) bool { return strings.HasPrefix(w, "PromQL info:") })
	if len(warnings) > 0 {
		return nil, fmt.Errorf("a warning of Prometheus about its answer: %s", strings.Join(warnings, "; "))
	}
	switch v := value.(type) {
	case model.Vector:
		return newAnswer(d, v)
	case *model.Scalar:
		if d.Object == external {
			return newAnswer(d, model.Vector{{Value: v.Value, Timestamp: v.Timestamp}})
		}
		return nil, fmt.Errorf("%w: it gives one number and not one for each of the %s", errRefused, d.Object)
	case model.Matrix:
		return nil, fmt.Errorf("%w: it gives a range of samples; take rate(), last_over_time() or the like of it", errRefused)
	case nil:
		return nil, errors.New("no result in the answer of Prometheus")
	default:
		return nil, fmt.Errorf("%w: it gives a %s", errRefused, v.Type())
	}
}

// explain says in an error what is to be looked at.
func explain(ctx context.Context, err error) error {
	said := new(promv1.Error)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("no answer of Prometheus in time: %w", err)
	case !errors.As(err, &said):
		return fmt.Errorf("no answer of Prometheus: %w", err)
	case said.Type == promv1.ErrBadData:
		return fmt.Errorf("%w: %s", errRefused, said.Msg)
	case said.Detail != "":
		return fmt.Errorf("answer of Prometheus: %w: %.*s", err, maxDetail, oneLine(said.Detail))
	default:
		return fmt.Errorf("answer of Prometheus: %w", err)
	}
}
