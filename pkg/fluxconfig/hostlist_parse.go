package fluxconfig

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxIDDigits keeps IDs, and arithmetic with them, within 64 bits. More digits at the end of a plain name are part of
// the name, as in Flux.
const maxIDDigits = 18

// ParseHostlist parses a host list in the form of Flux RFC 29. It accepts lists that Flux accepts, except for those
// that are not RFC 29: several brackets in one name, a sign before an ID, an open range (5-), and brackets whose
// padding RFC 29 and Flux interpret differently ([005,4]).
func ParseHostlist(text string) (Hostlist, error) {
	var h Hostlist
	for i, expr := range splitHosts(text) {
		ranges, err := parseHosts(expr)
		if err != nil {
			return Hostlist{}, fmt.Errorf("host list, entry %d (%s): %w", i+1, strconv.Quote(abbreviate(expr)), err)
		}
		for _, r := range ranges {
			h.push(r)
		}
		if len(h.ranges) > MaxHostRanges {
			return Hostlist{}, fmt.Errorf("host list: more than %d ranges and single hosts", MaxHostRanges)
		}
	}
	return h, nil
}

// splitHosts splits a list at commas and blanks outside brackets. Flux treats any number of them as one separator.
func splitHosts(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(c rune) bool {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		case ',', ' ', '\t':
			return depth <= 0
		}
		return false
	})
}

// parseHosts parses one expression: prefix, [ids], suffix; the last two are optional.
func parseHosts(expr string) ([]hostRange, error) {
	for _, c := range []byte(expr) {
		if c < 0x20 || c > 0x7e {
			return nil, errors.New("a character that is not printable ASCII")
		}
	}
	prefix, rest, ok := strings.Cut(expr, "[")
	if !ok {
		if strings.Contains(expr, "]") {
			return nil, errors.New("a closing bracket without an opening one")
		}
		return []hostRange{plainHost(expr)}, nil
	}
	ids, suffix, ok := strings.Cut(rest, "]")
	if !ok {
		return nil, errors.New("an opening bracket without a closing one")
	}
	if strings.ContainsAny(prefix+suffix, "[]") || strings.Contains(ids, "[") {
		return nil, errors.New("more than one pair of brackets")
	}
	return parseIDs(prefix, ids, suffix)
}

// plainHost parses a name without brackets. Digits at its end are its ID: foo1, foo2 is the list foo[1-2].
func plainHost(name string) hostRange {
	prefix := strings.TrimRight(name, "0123456789")
	id, err := parseID(name[len(prefix):])
	if err != nil {
		return hostRange{prefix: name, literal: true}
	}
	return hostRange{prefix: prefix, lo: id, hi: id, width: paddedWidth(name[len(prefix):])}
}

func parseIDs(prefix, ids, suffix string) ([]hostRange, error) {
	parts := strings.Split(ids, ",")
	if len(parts) > MaxHostRanges {
		return nil, fmt.Errorf("more than %d ranges in brackets", MaxHostRanges)
	}
	ranges := make([]hostRange, 0, len(parts))
	for _, part := range parts {
		r, err := parseRange(part)
		if err != nil {
			return nil, err
		}
		if len(ranges) > 0 && !ranges[0].padsLike(r) {
			return nil, fmt.Errorf("id %q is not padded like the first one of its brackets: RFC 29 and Flux interpret that differently", abbreviate(part))
		}
		r.prefix, r.suffix = prefix, suffix
		ranges = append(ranges, r)
	}
	return ranges, nil
}

func parseRange(part string) (hostRange, error) {
	from, to, isRange := strings.Cut(part, "-")
	lo, err := parseID(from)
	if err != nil {
		return hostRange{}, err
	}
	r := hostRange{lo: lo, hi: lo, width: paddedWidth(from)}
	if isRange {
		if r.hi, err = parseID(to); err != nil {
			return hostRange{}, err
		}
	}
	if r.hi < r.lo {
		return hostRange{}, fmt.Errorf("range %q is reversed", abbreviate(part))
	}
	if r.hi-r.lo >= MaxHostRange {
		return hostRange{}, fmt.Errorf("range %q has more than %d hosts, which Flux rejects", abbreviate(part), MaxHostRange)
	}
	return r, nil
}

func parseID(s string) (uint64, error) {
	switch {
	case s == "":
		return 0, errors.New("an id is missing")
	case strings.Trim(s, "0123456789") != "":
		return 0, fmt.Errorf("%q is not an id or a range of ids", abbreviate(s))
	case len(s) > maxIDDigits:
		return 0, fmt.Errorf("id %q is too long", abbreviate(s))
	}
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("id %q: %w", abbreviate(s), err)
	}
	return id, nil
}

// paddedWidth returns the width of an ID that is padded with zeros, 0 for others.
func paddedWidth(id string) int {
	if len(id) > 1 && id[0] == '0' {
		return len(id)
	}
	return 0
}

// abbreviate shortens text of a user in error messages.
func abbreviate(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
