package capacity

import (
	"fmt"
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Reserve is what an application leaves free for others, by resource.
type Reserve map[corev1.ResourceName]Share

// Share is an amount of a resource, or a part of what is allocatable.
type Share struct {
	// Amount in the units of Resources.
	Amount int64
	// Percent in thousandths of a percent, instead of an amount.
	Percent int64
}

// wholePercent is all of a resource, in thousandths of a percent.
const wholePercent int64 = 100_000

// mostAmount is more than there is of anything, and a thousand times as much is a number still.
const mostAmount int64 = math.MaxInt64 / 2000

// ParseReserve reads a reserve: shares of resources that are separated by commas, such as
// "cpu=30,memory=10%". A share is a quantity or a percentage of what is allocatable on
// the nodes that the application may use. A share alone is one of cpu; nothing at all
// reserves nothing.
func ParseReserve(text string) (Reserve, error) {
	reserve := Reserve{}
	if strings.TrimSpace(text) == "" {
		return reserve, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, named := strings.Cut(part, "=")
		if !named {
			name, value = string(corev1.ResourceCPU), part
		}
		resourceName := corev1.ResourceName(strings.TrimSpace(name))
		if problems := validation.IsQualifiedName(string(resourceName)); len(problems) > 0 {
			return nil, fmt.Errorf("reserve %q: %q is not the name of a resource: %s", text, resourceName, problems[0])
		}
		if _, twice := reserve[resourceName]; twice {
			return nil, fmt.Errorf("reserve %q: %s is given twice", text, resourceName)
		}
		share, err := parseShare(resourceName, strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("reserve %q: %w", text, err)
		}
		reserve[resourceName] = share
	}
	return reserve, nil
}

func parseShare(name corev1.ResourceName, text string) (Share, error) {
	number, percent := strings.CutSuffix(text, "%")
	quantity, err := resource.ParseQuantity(strings.TrimSpace(number))
	switch {
	case err != nil:
		return Share{}, fmt.Errorf("%q is neither a quantity, such as 30 or 64Gi, nor a percentage, such as 15%%", text)
	case quantity.Sign() < 0:
		return Share{}, fmt.Errorf("%q is less than nothing", text)
	case percent && quantity.CmpInt64(100) > 0, quantity.CmpInt64(mostAmount) > 0:
		return Share{}, fmt.Errorf("%q is more than there is", text)
	case percent:
		return Share{Percent: quantity.MilliValue()}, nil
	case name == corev1.ResourceCPU:
		return Share{Amount: quantity.MilliValue()}, nil
	default:
		return Share{Amount: quantity.Value()}, nil
	}
}

// Of is what is reserved of an allocatable amount, rounded up.
func (r Reserve) Of(allocatable *Resources) Resources {
	var reserved Resources
	for name, share := range r {
		reserved.Set(name, share.of(allocatable.Get(name)))
	}
	return reserved
}

func (s Share) of(allocatable int64) int64 {
	if s.Percent == 0 {
		return s.Amount
	}
	// In two parts, since bytes times percent could be more than fits.
	whole, rest := allocatable/wholePercent, allocatable%wholePercent
	return whole*s.Percent + (rest*s.Percent+wholePercent-1)/wholePercent
}
