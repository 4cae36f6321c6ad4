package fluxconfig

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseDuration parses a Flux standard duration (Flux RFC 23), for example 5s, 0.5m, 30 or inf, and returns seconds.
// A broker with an invalid duration in its configuration does not start. Flux accepts all numbers of the C language;
// hexadecimal numbers and exponents, which are most likely mistakes, are rejected here.
func ParseDuration(text string) (float64, error) {
	if s := strings.ToLower(text); s == "inf" || s == "infinity" {
		return math.Inf(1), nil
	}
	number := strings.TrimRight(text, "dhms")
	perUnit, ok := map[string]float64{"ms": 1e-3, "s": 1, "": 1, "m": 60, "h": 3600, "d": 86400}[text[len(number):]]
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a Flux standard duration (a number and ms, s, m, h or d, for example 5s)", abbreviate(text))
	}
	return n * perUnit, nil
}
