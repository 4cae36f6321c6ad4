package flux

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// MaxID is the largest number that an [IDSet] may hold.
const MaxID = 1<<31 - 1

// IDSet is a set of numbers, mostly ranks or cores (RFC 22). The zero value is
// empty. It is kept as ranges, so that a set takes memory for what its text
// says and not for how many numbers that stands for. It is not changed by its
// methods.
type IDSet struct {
	ranges []idRange // sorted, with gaps between them
}

type idRange struct{ first, last uint32 }

// IDs is the set of the numbers given. Those above [MaxID] are left out.
func IDs(ids ...uint32) IDSet {
	ranges := make([]idRange, 0, len(ids))
	for _, id := range ids {
		if id <= MaxID {
			ranges = append(ranges, idRange{id, id})
		}
	}
	return normalized(ranges)
}

// IDRange is the set of the numbers first to last, empty when last is smaller.
// It ends at [MaxID].
func IDRange(first, last uint32) IDSet {
	if last = min(last, MaxID); first > last {
		return IDSet{}
	}
	return IDSet{ranges: []idRange{{first, last}}}
}

// ParseIDSet parses the text of RFC 22: "", "3", "0-2,5", with or without
// brackets around it. Numbers may come in any order and more than once.
func ParseIDSet(s string) (IDSet, error) {
	text := s
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return IDSet{}, fmt.Errorf("set %.40q: a bracket is not closed", s)
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
			return IDSet{}, fmt.Errorf("set %.40q: the range %.40q runs backwards", s, part)
		}
		ranges = append(ranges, idRange{first, last})
	}
	return normalized(ranges), nil
}

func parseID(s string) (uint32, error) {
	if s == "" || s[0] < '0' || s[0] > '9' { // ParseUint takes no sign, but says so poorly
		return 0, fmt.Errorf("%.40q is not a number", s)
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a number of 0 to %d", s, MaxID)
	}
	return uint32(n), nil
}

// normalized sorts ranges and joins those that overlap or touch. It uses them.
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

// String is the text of RFC 22, without brackets.
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

// Count is how many numbers there are.
func (s IDSet) Count() int {
	n := 0
	for _, r := range s.ranges {
		n += int(r.last-r.first) + 1
	}
	return n
}

// Empty says that there are none.
func (s IDSet) Empty() bool { return len(s.ranges) == 0 }

// Max is the largest number; ok is false if there is none.
func (s IDSet) Max() (id uint32, ok bool) {
	if s.Empty() {
		return 0, false
	}
	return s.ranges[len(s.ranges)-1].last, true
}

// Contains says whether id is in the set.
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

// All are the numbers, in order.
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
