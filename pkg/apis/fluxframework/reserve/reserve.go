// Package reserve parses the capacity reserve of a MiniCluster, spec.opportunistic.reserve and the flag
// --capacity-reserve. It is pure, and shared by the validator and the metrics API server: change the syntax here only.
package reserve

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Reserve is the capacity that a MiniCluster leaves free, by resource.
type Reserve map[corev1.ResourceName]Share

// Share is an amount of a resource, or a percentage of its allocatable amount.
type Share struct {
	// Amount in whole units as the scheduler counts: CPU in thousandths of a core, memory
	// and storage in bytes, anything else in pieces.
	Amount int64
	// Percent in thousandths of a percent, instead of an amount.
	Percent int64
}

// wholePercent is all of a resource, in thousandths of a percent.
const wholePercent int64 = 100_000

// mostAmount is more than any cluster has, and a thousand times as much does not overflow.
const mostAmount int64 = math.MaxInt64 / 2000

// Parse parses a reserve: shares of resources that are separated by commas, such as "cpu=30,memory=10%". A share is a
// quantity or a percentage of the allocatable resources of the nodes that the MiniCluster may use. A share without a
// resource is one of cpu; an empty text reserves nothing. An error quotes the invalid part and names a valid one, but
// not the source of the text.
func Parse(text string) (Reserve, error) {
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
		if err := checkName(resourceName); err != nil {
			return nil, err
		}
		if _, twice := reserve[resourceName]; twice {
			return nil, fmt.Errorf("%s is set twice: remove one of them", resourceName)
		}
		share, err := parseShare(resourceName, strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		reserve[resourceName] = share
	}
	return reserve, nil
}

// FromShares reads the shares of resources by name, as in spec.opportunistic.reserve. An
// error is about the first share by name that is wrong, whose name it returns.
func FromShares(shares map[corev1.ResourceName]intstr.IntOrString) (Reserve, corev1.ResourceName, error) {
	reserve := Reserve{}
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		if err := checkName(name); err != nil {
			return nil, name, err
		}
		text := shares[name]
		share, err := parseShare(name, text.String())
		if err != nil {
			return nil, name, err
		}
		reserve[name] = share
	}
	return reserve, "", nil
}

// checkName rejects names that no node can have: otherwise a typing error such as "mem" would reserve nothing.
func checkName(name corev1.ResourceName) error {
	switch {
	case name == corev1.ResourceCPU, name == corev1.ResourceMemory, name == corev1.ResourcePods, name == corev1.ResourceEphemeralStorage:
		return nil
	case len(validation.IsQualifiedName(string(name))) == 0 &&
		(strings.Contains(string(name), "/") || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)):
		return nil
	default:
		return fmt.Errorf("%q is not the name of a resource: use cpu, memory, pods, ephemeral-storage, hugepages-SIZE, or a full name such as nvidia.com/gpu", name)
	}
}

func parseShare(name corev1.ResourceName, text string) (Share, error) {
	number, percent := strings.CutSuffix(text, "%")
	quantity, err := resource.ParseQuantity(strings.TrimSpace(number))
	switch {
	case err != nil:
		return Share{}, fmt.Errorf("%q is neither a quantity, such as 30 or 64Gi, nor a percentage, such as 15%%", text)
	case quantity.Sign() < 0:
		return Share{}, fmt.Errorf("%q is negative: use 0 or more", text)
	case !percent && quantity.CmpInt64(mostAmount) > 0:
		return Share{}, fmt.Errorf("%q is too large: use at most 100%%", text)
	case percent && quantity.CmpInt64(100) > 0:
		return Share{}, fmt.Errorf("%q is more than all: use at most 100%%", text)
	case percent:
		return Share{Percent: quantity.MilliValue()}, nil
	case name == corev1.ResourceCPU:
		return Share{Amount: quantity.MilliValue()}, nil
	default:
		return Share{Amount: quantity.Value()}, nil
	}
}

// Of returns the reserved part of an allocatable amount, in the same units, rounded up.
func (s Share) Of(allocatable int64) int64 {
	if s.Percent == 0 {
		return s.Amount
	}
	// Computed in two parts, since bytes times percent could overflow.
	whole, rest := allocatable/wholePercent, allocatable%wholePercent
	return whole*s.Percent + (rest*s.Percent+wholePercent-1)/wholePercent
}
