package fluxconfig

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Limits of Flux's own hostlist reader. A list beyond them stops every broker
// at its start, so that it must not be made or accepted here.
const (
	// MaxHostRange is the largest number of hosts that one range may span.
	MaxHostRange = 1 << 20
	// MaxHostRanges is the largest number of ranges in one pair of brackets. The
	// same limit holds here for a whole list, which bounds what it costs to check
	// a list from a stranger.
	MaxHostRanges = 10240
)

// Hostlist is an ordered list of host names in the compact form of Flux RFC 29,
// for example flux-sample-[0-9999]. The position of a host is the rank of its
// broker (flux-config-bootstrap(5)). It is kept as ranges: its size costs
// nothing to know, however many hosts there are. The zero value is empty.
type Hostlist struct {
	ranges []hostRange
}

// hostRange is a run of hosts prefix, id, suffix with consecutive ids, or, if
// literal, the one host whose name is prefix.
type hostRange struct {
	prefix, suffix string
	lo, hi         uint64
	// width is the length that ids are padded to with zeros; 0 if they are not
	// padded, so that equal lists are equal values.
	width   int
	literal bool
}

// NumberedHosts is the list of n hosts prefix+first, prefix+(first+1), ... Flux
// reads a range of one id, but a plain name says the same and is what users
// look for.
func NumberedHosts(prefix string, first, n int) (Hostlist, error) {
	if first < 0 || n < 0 {
		return Hostlist{}, fmt.Errorf("hosts %s*: first index %d and number %d must not be negative", prefix, first, n)
	}
	if strings.ContainsAny(prefix, "[], \t") {
		return Hostlist{}, fmt.Errorf("hosts %s*: a bracket, comma or blank in the name", strconv.Quote(prefix))
	}
	if n > MaxHostRange {
		return Hostlist{}, fmt.Errorf("hosts %s*: %d hosts, Flux reads at most %d in a range", prefix, n, MaxHostRange)
	}
	if n == 0 {
		return Hostlist{}, nil
	}
	// Through the parser, so that a prefix that ends in a digit is read here as
	// Flux reads it.
	return ParseHostlist(fmt.Sprintf("%s[%d-%d]", prefix, first, first+n-1))
}

// Append returns the list followed by others.
func (h Hostlist) Append(others ...Hostlist) Hostlist {
	out := Hostlist{ranges: append([]hostRange(nil), h.ranges...)}
	for _, o := range others {
		for _, r := range o.ranges {
			out.push(r)
		}
	}
	return out
}

// push adds a range at the end, joined to the last one where the ids go on: a
// list has one form only, and Flux prints the same.
func (h *Hostlist) push(r hostRange) {
	for _, c := range r.canonical() {
		if n := len(h.ranges); n > 0 && h.ranges[n-1].continues(c) {
			h.ranges[n-1].hi = c.hi
			continue
		}
		h.ranges = append(h.ranges, c)
	}
}

func (r hostRange) continues(next hostRange) bool {
	return !r.literal && !next.literal && r.prefix == next.prefix && r.suffix == next.suffix &&
		r.hi+1 == next.lo && r.padsLike(next) && r.count()+next.count() <= MaxHostRange
}

// canonical moves digits at the end of the prefix to the ids (foo1[8-12] is
// foo[18-19,110-112]) and turns a single host into a plain name, so that equal
// hosts are equal values however they were written.
func (r hostRange) canonical() []hostRange {
	if r.literal {
		return []hostRange{r}
	}
	if r.lo == r.hi {
		return []hostRange{plainHost(r.host(r.lo))}
	}
	prefix := strings.TrimRight(r.prefix, "0123456789")
	number := r.prefix[len(prefix):]
	if number == "" || len(number)+digits(r.hi) > maxIDDigits {
		return []hostRange{r}
	}
	var out []hostRange
	for _, part := range r.byLength() {
		lo, errLo := parseID(number + pad(part.lo, r.width))
		hi, errHi := parseID(number + pad(part.hi, r.width))
		if errLo != nil || errHi != nil {
			return []hostRange{r}
		}
		out = append(out, hostRange{
			prefix: prefix, suffix: r.suffix, lo: lo, hi: hi,
			width: paddedWidth(number + pad(part.lo, r.width)),
		})
	}
	return out
}

// byLength cuts a range so that the ids of each part have the same length.
func (r hostRange) byLength() []hostRange {
	var out []hostRange
	for lo := r.lo; ; {
		part := r
		part.lo = lo
		part.hi = min(r.hi, longest(max(digits(lo), r.width)))
		out = append(out, part)
		if part.hi == r.hi {
			return out
		}
		lo = part.hi + 1
	}
}

// longest is the largest id of n digits.
func longest(n int) uint64 {
	id := uint64(0)
	for range n {
		id = id*10 + 9
	}
	return id
}

// Count is the number of hosts.
func (h Hostlist) Count() int {
	n := 0
	for _, r := range h.ranges {
		n += r.count()
	}
	return n
}

// All yields the hosts in order, by rank, without making the whole list.
func (h Hostlist) All() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		rank := 0
		for _, r := range h.ranges {
			for id := r.lo; ; id++ {
				if !yield(rank, r.host(id)) {
					return
				}
				rank++
				if id == r.hi {
					break
				}
			}
		}
	}
}

// Index is the rank of a host: the position where it first appears.
func (h Hostlist) Index(host string) (int, bool) {
	at := 0
	for _, r := range h.ranges {
		if id, ok := r.find(host); ok {
			return at + int(id-r.lo), true // at most MaxHostRange
		}
		at += r.count()
	}
	return 0, false
}

// First is the host of rank 0, empty if the list is.
func (h Hostlist) First() string {
	for _, host := range h.All() {
		return host
	}
	return ""
}

// Rest is the list without the host of rank 0.
func (h Hostlist) Rest() Hostlist {
	if len(h.ranges) == 0 {
		return Hostlist{}
	}
	var out Hostlist
	if first := h.ranges[0]; first.count() > 1 {
		first.lo++
		out.push(first)
	}
	for _, r := range h.ranges[1:] {
		out.push(r)
	}
	return out
}

// String is the list in the form of Flux RFC 29. It reads back as the same list.
func (h Hostlist) String() string {
	var b strings.Builder
	for i := 0; i < len(h.ranges); {
		if i > 0 {
			b.WriteByte(',')
		}
		n := h.bracketed(i)
		writeRanges(&b, h.ranges[i:i+n])
		i += n
	}
	return b.String()
}

// bracketed counts the ranges from i on that may stand in one pair of brackets:
// RFC 29 applies the padding of the first id to all ids of the brackets and
// Flux does not, so that ids stand together only where both read the same.
func (h Hostlist) bracketed(i int) int {
	first := h.ranges[i]
	n := 1
	for !first.literal && i+n < len(h.ranges) && n < MaxHostRanges {
		r := h.ranges[i+n]
		if r.literal || r.prefix != first.prefix || r.suffix != first.suffix || !first.padsLike(r) {
			break
		}
		n++
	}
	return n
}

func writeRanges(b *strings.Builder, ranges []hostRange) {
	first := ranges[0]
	if first.literal || (len(ranges) == 1 && first.lo == first.hi && first.suffix == "") {
		b.WriteString(first.host(first.lo))
		return
	}
	b.WriteString(first.prefix)
	b.WriteByte('[')
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(pad(r.lo, first.width))
		if r.hi > r.lo {
			b.WriteByte('-')
			b.WriteString(pad(r.hi, first.width))
		}
	}
	b.WriteByte(']')
	b.WriteString(first.suffix)
}

// count fits an int: a range is read only up to MaxHostRange.
func (r hostRange) count() int {
	return int(r.hi-r.lo) + 1 // see above
}

func (r hostRange) host(id uint64) string {
	if r.literal {
		return r.prefix
	}
	return r.prefix + pad(id, r.width) + r.suffix
}

// padsLike reports whether the ids of next look the same when they are padded as
// those of r are.
func (r hostRange) padsLike(next hostRange) bool {
	if r.width == next.width {
		return true
	}
	return r.width > 0 && next.width == 0 && digits(next.lo) >= r.width
}

// find is the id of a host in the range.
func (r hostRange) find(host string) (uint64, bool) {
	if r.literal {
		return 0, host == r.prefix
	}
	middle, ok := strings.CutPrefix(host, r.prefix)
	if !ok {
		return 0, false
	}
	if middle, ok = strings.CutSuffix(middle, r.suffix); !ok {
		return 0, false
	}
	id, err := parseID(middle)
	if err != nil || id < r.lo || id > r.hi || pad(id, r.width) != middle {
		return 0, false
	}
	return id, true
}

func pad(id uint64, width int) string {
	s := strconv.FormatUint(id, 10)
	if len(s) >= width {
		return s
	}
	return strings.Repeat("0", width-len(s)) + s
}

func digits(id uint64) int {
	return len(strconv.FormatUint(id, 10))
}
