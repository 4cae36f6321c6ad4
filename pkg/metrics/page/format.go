package page

import (
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// number is a formatted number with its exact value.
type number struct {
	// Metric is its name in the metrics API, or "".
	Metric string
	// Exact is the exact value in the unit of the metric, or "" if it is unknown.
	Exact string
	// Text is the formatted value, which may be in a larger unit.
	Text string
}

// noNumber is the text of an unknown value.
const noNumber = "–"

func countOf(metric string, n int32) number {
	if n == unknown {
		return number{Metric: metric, Text: noNumber}
	}
	text := strconv.Itoa(int(n))
	return number{Metric: metric, Exact: text, Text: text}
}

func quantityOf(metric string, q resource.Quantity) number {
	exact := q.AsDec().String()
	if strings.Contains(exact, ".") {
		exact = strings.TrimRight(strings.TrimRight(exact, "0"), ".")
	}
	return number{Metric: metric, Exact: exact, Text: exact}
}

// float returns the exact value, or NaN if it is unknown.
func (n number) float() float64 {
	x, err := strconv.ParseFloat(n.Exact, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

// scale is a unit for display.
type scale struct {
	name string
	// size of the unit, in units of the metric.
	size float64
	// digits is the maximum number of decimal places.
	digits int
}

// unitOf returns the binary unit in which an amount of bytes has at least two digits.
func unitOf(bytes float64) scale {
	u := scale{name: "B", size: 1}
	for _, name := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if math.Abs(bytes) < 10*1024*u.size {
			break
		}
		u = scale{name: name, size: 1024 * u.size, digits: 1}
	}
	return u
}

func (u scale) text(amount float64) string { return decimal(amount/u.size, u.digits) }

// decimal formats a number with at most some decimal places and without trailing zeros.
func decimal(x float64, digits int) string {
	p := math.Pow10(digits)
	x = math.Round(x*p) / p
	if x == 0 {
		x = 0 // not -0
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}
