package fluxconfig

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckNames reports whether every host is a domain name that Flux accepts as a host (flux-config-bootstrap(5), RFC
// 1035): labels of 1 to 63 letters, digits and hyphens, no hyphen at either end, 253 characters in all. With any
// other name, for example one with an underscore, no broker of the instance starts.
func (h Hostlist) CheckNames() error {
	for _, r := range h.ranges {
		// The hosts in between differ from these two only in digits, and are not longer.
		for _, host := range []string{r.host(r.lo), r.host(r.hi)} {
			if err := checkDomainName(host); err != nil {
				return fmt.Errorf("host %q: %w", abbreviate(host), err)
			}
		}
	}
	return nil
}

func checkDomainName(name string) error {
	if len(name) < 1 || len(name) > 253 {
		return errors.New("must have 1 to 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case len(label) < 1 || len(label) > 63:
			return errors.New("each part between dots must have 1 to 63 characters")
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("no part between dots may start or end with a hyphen")
		case strings.ContainsFunc(label, func(c rune) bool { return !isAlnum(c) && c != '-' }):
			return errors.New("only letters, digits, hyphens and dots are allowed")
		}
	}
	return nil
}

// isAlnum is isalnum(3) in the C locale, which Flux uses.
func isAlnum(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// Duplicate returns a host that is in the list more than once, if any. RFC 29 allows duplicates, but Flux merges the
// entries of such a host, which changes the rank of every later host. Two ranges that write the same hosts with
// brackets in different positions (a[1-2]-0 and a1-[0-3]) are not compared.
func (h Hostlist) Duplicate() (string, bool) {
	if host, ok := h.duplicateNumber(); ok {
		return host, true
	}
	return h.duplicateName()
}

// duplicateNumber searches for overlapping ranges of the same form.
func (h Hostlist) duplicateNumber() (string, bool) {
	var all []hostRange
	for _, r := range h.ranges {
		if !r.literal {
			all = append(all, r.byLook()...)
		}
	}
	slices.SortFunc(all, func(a, b hostRange) int {
		return cmp.Or(
			strings.Compare(a.prefix, b.prefix),
			strings.Compare(a.suffix, b.suffix),
			cmp.Compare(a.width, b.width),
			cmp.Compare(a.lo, b.lo),
		)
	})
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if a.prefix == b.prefix && a.suffix == b.suffix && a.width == b.width && b.lo <= a.hi {
			return b.host(b.lo), true
		}
	}
	return "", false
}

// byLook splits a padded range where the IDs reach the width: from there on they look like IDs without padding.
func (r hostRange) byLook() []hostRange {
	if r.width == 0 {
		return []hostRange{r}
	}
	full := longest(r.width-1) + 1
	padded, plain := r, r
	padded.hi = min(r.hi, full-1)
	plain.lo, plain.width = max(r.lo, full), 0
	var out []hostRange
	for _, part := range []hostRange{padded, plain} {
		if part.lo <= part.hi {
			out = append(out, part)
		}
	}
	return out
}

// duplicateName compares single names with each other and with ranges that have a suffix, which the comparison of
// numbers misses.
func (h Hostlist) duplicateName() (string, bool) {
	var withSuffix []hostRange
	for _, r := range h.ranges {
		if r.suffix != "" {
			withSuffix = append(withSuffix, r)
		}
	}
	seen := make(map[string]struct{})
	for _, r := range h.ranges {
		if r.suffix != "" || r.lo != r.hi {
			continue
		}
		host := r.host(r.lo)
		if _, ok := seen[host]; ok {
			return host, true
		}
		seen[host] = struct{}{}
		for _, other := range withSuffix {
			if _, ok := other.find(host); ok {
				return host, true
			}
		}
	}
	return "", false
}
