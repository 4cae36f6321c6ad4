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

// maxAnswer limits the size of a response, in which a series takes some 200 bytes. Decoding it takes nine times as much
// memory, and the decoded result four times as much.
const maxAnswer = 4 << 20

// Connection configures the connection to a Prometheus server.
type Connection struct {
	// URL is the prefix of the path /api/v1/query.
	URL string
	// BearerTokenFile is a file with a bearer token, which is reloaded every minute; "" disables it.
	BearerTokenFile string
	// CAFile is a file with the certificate authorities of the server; "" selects those of the system.
	CAFile string
	// CertFile and KeyFile are files with a client certificate, which is reloaded; "" disables it.
	CertFile, KeyFile string
	// UsernameFile and PasswordFile are files with credentials for basic authentication, which are reloaded every minute;
	// "" disables it.
	UsernameFile, PasswordFile string
	// HeadersFile is a file with headers to send, one per line, such as "X-Scope-OrgID: team". It is reloaded every
	// minute; "" disables it.
	HeadersFile string
}

// Connect returns a client. It sends no request.
func Connect(c Connection) (promv1.API, error) {
	// The transport of client-go reloads tokens and certificate authorities.
	transport, err := rest.TransportFor(&rest.Config{
		BearerTokenFile: c.BearerTokenFile,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the connection to Prometheus: %w", err)
	}
	client, err := api.NewClient(api.Config{Address: c.URL, Client: &http.Client{
		Transport: newCredentials(c, bounded{transport}),
		// The credentials must not be sent to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, fmt.Errorf("setting up the connection to Prometheus: %w", err)
	}
	return promv1.NewAPI(client), nil
}

// bounded limits the size of responses.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // returned unchanged
	}
	response.Body = &limited{ReadCloser: response.Body, left: maxAnswer}
	return response, nil
}

// limited is a response body that returns an error after a number of bytes.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the response is larger than %d MiB", maxAnswer>>20)
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err //nolint:wrapcheck // callers compare with io.EOF
}

// maxDetail limits how much of a response that is not from the API of Prometheus a message contains.
const maxDetail = 200

// errInvalidQuery is returned for a query that Prometheus can't parse or whose result has a type that
// can't become a metric.
var errInvalidQuery = errors.New("the query is invalid")

// ask runs a query and returns its result.
func ask(ctx context.Context, prometheus promv1.API, d *definition, timeout time.Duration) (*answer, error) {
	value, warnings, _, err := prometheus.Query(ctx, d.Query, time.Time{}, promv1.WithTimeout(timeout))
	if err != nil {
		return nil, explain(ctx, err)
	}
	// Prometheus before 3.0 returns infos, for example about the name of a counter, as warnings.
	warnings = slices.DeleteFunc(warnings, func(w string) bool { return strings.HasPrefix(w, "PromQL info:") })
	if len(warnings) > 0 && d.Warnings != warningsAccept {
		return nil, fmt.Errorf("the Prometheus server returned a warning: %s", strings.Join(warnings, "; "))
	}
	switch v := value.(type) {
	case model.Vector:
		return newAnswer(d, v)
	case *model.Scalar:
		if d.Object == external {
			return newAnswer(d, model.Vector{{Value: v.Value, Timestamp: v.Timestamp}})
		}
		return nil, fmt.Errorf("%w: it returns a single number instead of one for each of the %s", errInvalidQuery, d.Object)
	case model.Matrix:
		return nil, fmt.Errorf("%w: it returns a range of samples; apply a function such as rate() or last_over_time()", errInvalidQuery)
	case nil:
		return nil, errors.New("the response of Prometheus contains no result")
	default:
		return nil, fmt.Errorf("%w: it returns a %s", errInvalidQuery, v.Type())
	}
}

// explain adds the cause to an error of a query.
func explain(ctx context.Context, err error) error {
	said := new(promv1.Error)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the Prometheus server did not respond in time: %w", err)
	case !errors.As(err, &said):
		return fmt.Errorf("failed to query Prometheus: %w", err)
	case said.Type == promv1.ErrBadData:
		return fmt.Errorf("%w: %s", errInvalidQuery, said.Msg)
	case said.Detail != "":
		return fmt.Errorf("the Prometheus server returned an error: %w: %.*s", err, maxDetail, oneLine(said.Detail))
	default:
		return fmt.Errorf("the Prometheus server returned an error: %w", err)
	}
}
