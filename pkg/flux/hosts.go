package flux

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDigits limits the numbers in a host list to the digits of 32 bits. Names are as long as their padded number.
const maxDigits = 10

// ParseHosts parses a host list (RFC 29): names, each with at most one set of numbers in brackets, separated by
// commas. More than [MaxNodes] names are an error, and so are numbers of more than ten digits.
func ParseHosts(list string) ([]string, error) {
	var out []string
	depth := 0
	for _, expr := range strings.FieldsFunc(list, func(c rune) bool {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		}
		return c == ',' && depth <= 0
	}) {
		prefix, rest, numbered := strings.Cut(expr, "[")
		if !numbered {
			if len(out) == MaxNodes {
				return nil, fmt.Errorf("host list %.40q: more than %d names", list, MaxNodes)
			}
			out = append(out, expr)
			continue
		}
		numbers, suffix, closed := strings.Cut(rest, "]")
		if !closed || strings.ContainsAny(suffix, "[]") {
			return nil, fmt.Errorf("host list %.40q: a name has more than one pair of brackets", list)
		}
		for part := range strings.SplitSeq(numbers, ",") {
			first, _, _ := strings.Cut(part, "-")
			if len(first) > maxDigits {
				return nil, fmt.Errorf("host list %.40q: a number has more than %d digits", list, maxDigits)
			}
			ids, err := ParseIDSet(part)
			if err != nil {
				return nil, fmt.Errorf("host list %.40q: %w", list, err)
			}
			if len(out)+ids.Count() > MaxNodes {
				return nil, fmt.Errorf("host list %.40q: more than %d names", list, MaxNodes)
			}
			for id := range ids.All() { // padded like the first of them
				number := strconv.FormatUint(uint64(id), 10)
				padding := strings.Repeat("0", max(0, len(first)-len(number)))
				out = append(out, prefix+padding+number+suffix)
			}
		}
	}
	return out, nil
}
