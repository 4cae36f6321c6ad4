package promserver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/wait"
)

// patience is several scrapes, on a busy machine.
const patience = 3 * time.Minute

// Query evaluates an expression now. A scalar is a vector of one sample without labels. Warnings are errors.
func (s *Server) Query(ctx context.Context, expression string) (model.Vector, error) {
	value, warnings, _, err := s.API.Query(ctx, expression, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("querying %s: %w", expression, err)
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("querying %s: %s", expression, strings.Join(warnings, "; "))
	}
	switch v := value.(type) {
	case model.Vector:
		return v, nil
	case *model.Scalar:
		return model.Vector{{Metric: model.Metric{}, Value: v.Value, Timestamp: v.Timestamp}}, nil
	default:
		return nil, fmt.Errorf("querying %s: the result is a %s", expression, value.Type())
	}
}

// EventuallyVector waits until the result of an expression passes a check, which returns "" then. It fails with the
// last text of check.
func (s *Server) EventuallyVector(t testing.TB, expression string, check func(model.Vector) string) model.Vector {
	t.Helper()
	var (
		vector model.Vector
		last   string
	)
	err := wait.PollUntilContextTimeout(t.Context(), 5*pollInterval, patience, true, func(ctx context.Context) (bool, error) {
		var err error
		if vector, err = s.Query(ctx, expression); err != nil {
			last = err.Error()
			return false, nil //nolint:nilerr // asked again
		}
		last = check(vector)
		return last == "", nil
	})
	if err != nil {
		t.Fatalf("%s: %s (%v)", expression, last, err)
	}
	return vector
}

// Eventually waits until the result of an expression is one sample with this value.
func (s *Server) Eventually(t testing.TB, expression string, want float64) {
	t.Helper()
	s.EventuallyVector(t, expression, func(v model.Vector) string {
		if len(v) == 1 && float64(v[0].Value) == want {
			return ""
		}
		return fmt.Sprintf("want one sample of %g, got %v", want, v)
	})
}
