package fluxconfig

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Limits of Flux's own parser of host lists. Brokers do not start with a list beyond them, so such a list must not be
// generated or accepted.
const (
	// MaxHostRange is the maximal number of hosts in one range.
	MaxHostRange = 1 << 20
	// MaxHostRanges is the maximal number of ranges in one pair of brackets. Here it also limits a whole list, which
	// bounds the cost of checking a list from a user.
	MaxHostRanges = 10240
)

// Hostlist is an ordered list of host names in the compact form of Flux RFC 29, for example flux-sample-[0-9999]. The
// position of a host is the rank of its broker (flux-config-bootstrap(5)). It is stored as ranges, so its size does
// not depend on the number of hosts. The zero value is empty.
type Hostlist struct {
	ranges []hostRange
}

// hostRange is a range of hosts with consecutive IDs, or a single host whose name is prefix if literal is set.
type hostRange struct {
	prefix, suffix string
	lo, hi         uint64
	// width is the length that IDs are padded to with zeros; 0 if they are not padded, so that equal lists are equal
	// values.
	width   int
	literal bool
}

// NumberedHosts returns the list of n hosts prefix+first, prefix+(first+1), ... A range of one host becomes a plain
// name, which users search for.
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
	// Use the parser, so that a prefix that ends in a digit is interpreted as Flux does.
	return ParseHostlist(fmt.Sprintf("%s[%d-%d]", prefix, first, first+n-1))
}

// Append returns the list followed by other lists.
func (h Hostlist) Append(others ...Hostlist) Hostlist {
	out := Hostlist{ranges: append([]hostRange(nil), h.ranges...)}
	for _, o := range others {
		for _, r := range o.ranges {
			out.push(r)
		}
	}
	return out
}

// push adds a range at the end, and joins it with the last one if the IDs are consecutive: the form of a list is
// unique, and equal to that of Flux.
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

// canonical moves digits at the end of the prefix to the IDs (foo1[8-12] becomes foo[18-19,110-112]) and converts a
// single host to a plain name, so that equal hosts are equal values in any notation.
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

// byLength splits a range so that the IDs of each part have the same length.
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

// longest returns the largest ID of n digits.
func longest(n int) uint64 {
	id := uint64(0)
	for range n {
		id = id*10 + 9
	}
	return id
}

// Count returns the number of hosts.
func (h Hostlist) Count() int {
	n := 0
	for _, r := range h.ranges {
		n += r.count()
	}
	return n
}

// All iterates over the hosts in order, by rank, without expanding the list.
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

// Index returns the rank of a host: its first position.
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

// First returns the host of rank 0, "" for an empty list.
func (h Hostlist) First() string {
	for _, host := range h.All() {
		return host
	}
	return ""
}

// Rest returns the list without the host of rank 0.
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

// String returns the list in the form of Flux RFC 29. Parsing it returns an equal list.
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

// bracketed returns the number of ranges from i on that can share one pair of brackets. RFC 29 applies the padding of
// the first ID to all IDs in brackets, and Flux does not, so IDs share brackets only if both interpret them equally.
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

// count fits into an int, since ranges have at most MaxHostRange hosts.
func (r hostRange) count() int {
	return int(r.hi-r.lo) + 1 // see above
}

func (r hostRange) host(id uint64) string {
	if r.literal {
		return r.prefix
	}
	return r.prefix + pad(id, r.width) + r.suffix
}

// padsLike reports whether the IDs of next look the same with the padding of r.
func (r hostRange) padsLike(next hostRange) bool {
	if r.width == next.width {
		return true
	}
	return r.width > 0 && next.width == 0 && digits(next.lo) >= r.width
}

// find returns the ID of a host in the range.
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
