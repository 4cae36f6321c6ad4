package user

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Check returns why a MiniCluster does not pass, "" if it does.
type Check func(*v1alpha2.MiniCluster) string

// WaitFor waits until a MiniCluster passes all checks, with a status of its current spec.
func (f *Fixture) WaitFor(name string, checks ...Check) *v1alpha2.MiniCluster {
	f.Helper()
	var mc *v1alpha2.MiniCluster
	f.Eventually("MiniCluster "+name, func(ctx context.Context) (string, error) {
		var err error
		if mc, err = f.MiniClusters().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return "", err
		}
		if got := mc.Status.ObservedGeneration; got != mc.Generation {
			return fmt.Sprintf("observed generation %d of %d", got, mc.Generation), nil
		}
		for _, check := range checks {
			if lack := check(mc); lack != "" {
				return lack, nil
			}
		}
		return "", nil
	})
	return mc
}

// Sizes checks the sizes of the status.
func Sizes(size, ready int32) Check {
	return func(mc *v1alpha2.MiniCluster) string {
		if s := mc.Status; s.Size != size || s.ReadySize != ready {
			return fmt.Sprintf("size %d, ready %d", s.Size, s.ReadySize)
		}
		return ""
	}
}

// Ready checks that all pods of a size are ready. It also reads the Job, which can be newer than the status and have
// another size.
func (f *Fixture) Ready(size int32) Check {
	return func(mc *v1alpha2.MiniCluster) string {
		for _, check := range []Check{
			Sizes(size, size), Has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonReady),
		} {
			if lack := check(mc); lack != "" {
				return lack
			}
		}
		lack, err := f.JobHas(f.Context(), mc.Name, size)
		if err != nil {
			return err.Error()
		}
		return lack
	}
}

// SpecSize checks spec.size.
func SpecSize(size int32) Check {
	return func(mc *v1alpha2.MiniCluster) string {
		if got := mc.RequestedSize(); got != size {
			return fmt.Sprintf("spec.size is %d", got)
		}
		return ""
	}
}

// Has checks a condition, and that its message contains all parts.
func Has(kind string, status metav1.ConditionStatus, reason string, parts ...string) Check {
	return func(mc *v1alpha2.MiniCluster) string {
		c := meta.FindStatusCondition(mc.Status.Conditions, kind)
		if c == nil || c.Status != status {
			return fmt.Sprintf("condition %s is %+v", kind, c)
		}
		return HasReason(kind, reason, parts...)(mc)
	}
}

// HasReason checks the reason of a condition, and that its message contains all parts.
func HasReason(kind, reason string, parts ...string) Check {
	return func(mc *v1alpha2.MiniCluster) string {
		c := meta.FindStatusCondition(mc.Status.Conditions, kind)
		if c == nil || c.Reason != reason {
			return fmt.Sprintf("condition %s is %+v", kind, c)
		}
		if part := missing(c.Message, parts); part != "" {
			return fmt.Sprintf("the message of %s lacks %q: %s", kind, part, c.Message)
		}
		return ""
	}
}

// missing returns the first part that a text does not contain.
func missing(text string, parts []string) string {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return part
		}
	}
	return ""
}
