package flux

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// maxID is the largest number in an [IDSet].
const maxID = 1<<31 - 1

// IDSet is a set of numbers, mostly ranks or cores (RFC 22). The zero value is empty. It stores ranges, so its memory
// depends on the length of its text and not on how many numbers that means. Its methods do not change it.
type IDSet struct {
	ranges []idRange // sorted, with gaps between them
}

type idRange struct{ first, last uint32 }

// IDs returns the set of the given numbers. Numbers above maxID are dropped.
func IDs(ids ...uint32) IDSet {
	ranges := make([]idRange, 0, len(ids))
	for _, id := range ids {
		if id <= maxID {
			ranges = append(ranges, idRange{id, id})
		}
	}
	return normalized(ranges)
}

// IDRange returns the set of the numbers first to last, empty if last is smaller. It ends at maxID.
func IDRange(first, last uint32) IDSet {
	if last = min(last, maxID); first > last {
		return IDSet{}
	}
	return IDSet{ranges: []idRange{{first, last}}}
}

// ParseIDSet parses the format of RFC 22: "", "3", "0-2,5", with or without enclosing brackets. Numbers may have any
// order and may be repeated.
func ParseIDSet(s string) (IDSet, error) {
	text := s
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return IDSet{}, fmt.Errorf("set %.40q: unterminated bracket", s)
		}
	}
	if text == "" {
		return IDSet{}, nil
	}
	var ranges []idRange
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, err := parseID(low)
		last := first
		if err == nil && isRange {
			last, err = parseID(high)
		}
		if err != nil {
			return IDSet{}, fmt.Errorf("set %.40q: %w", s, err)
		}
		if last < first {
			return IDSet{}, fmt.Errorf("set %.40q: the range %.40q is reversed", s, part)
		}
		ranges = append(ranges, idRange{first, last})
	}
	return normalized(ranges), nil
}

func parseID(s string) (uint32, error) {
	if s == "" || s[0] < '0' || s[0] > '9' { // ParseUint rejects a sign with an unclear error
		return 0, fmt.Errorf("%.40q is not a number", s)
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a number of 0 to %d", s, maxID)
	}
	return uint32(n), nil
}

// normalized sorts ranges and joins those that overlap or touch. It modifies its argument.
func normalized(ranges []idRange) IDSet {
	slices.SortFunc(ranges, func(a, b idRange) int { return int(a.first) - int(b.first) })
	out := ranges[:0]
	for _, r := range ranges {
		if n := len(out); n > 0 && r.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, r.last)
			continue
		}
		out = append(out, r)
	}
	return IDSet{ranges: out}
}

// String returns the format of RFC 22, without brackets.
func (s IDSet) String() string {
	var b []byte
	for i, r := range s.ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.first), 10)
		if r.last > r.first {
			b = strconv.AppendUint(append(b, '-'), uint64(r.last), 10)
		}
	}
	return string(b)
}

// MarshalText is [IDSet.String], for JSON.
func (s IDSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is [ParseIDSet], for JSON.
func (s *IDSet) UnmarshalText(text []byte) error {
	parsed, err := ParseIDSet(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// Count returns the number of elements.
func (s IDSet) Count() int {
	n := 0
	for _, r := range s.ranges {
		n += int(r.last-r.first) + 1
	}
	return n
}

// Empty reports whether the set is empty.
func (s IDSet) Empty() bool { return len(s.ranges) == 0 }

// Max returns the largest number; ok is false if the set is empty.
func (s IDSet) Max() (id uint32, ok bool) {
	if s.Empty() {
		return 0, false
	}
	return s.ranges[len(s.ranges)-1].last, true
}

// Contains reports whether id is in the set.
func (s IDSet) Contains(id uint32) bool {
	_, found := slices.BinarySearchFunc(s.ranges, id, func(r idRange, id uint32) int {
		switch {
		case r.last < id:
			return -1
		case r.first > id:
			return 1
		}
		return 0
	})
	return found
}

// All iterates over the numbers in order.
func (s IDSet) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range s.ranges {
			for id := r.first; id <= r.last; id++ {
				if !yield(id) {
					return
				}
			}
		}
	}
}
