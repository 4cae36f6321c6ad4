package page

import (
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// number is a number for people, with what it is exactly for whoever copies it.
type number struct {
	// Metric is its name in the metrics API; "" for one that is not there.
	Metric string
	// Exact is the number as such, in the unit of the metric; "" where there is none.
	Exact string
	// Text is what is read: in a larger unit where that is handier, which is said beside it.
	Text string
}

// noNumber is what stands in the place of one.
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

// float is the number as such, NaN where there is none.
func (n number) float() float64 {
	x, err := strconv.ParseFloat(n.Exact, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

// scale is a unit that amounts are shown in.
type scale struct {
	name string
	// size of the unit, in that of the metric.
	size float64
	// digits behind the point, at most.
	digits int
}

// unitOf is the binary unit in which an amount of bytes is a number with a few digits, so
// that a hundredth of it can be told as well.
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

// decimal writes a number with so many digits behind the point at most, without zeros at
// its end.
func decimal(x float64, digits int) string {
	p := math.Pow10(digits)
	x = math.Round(x*p) / p
	if x == 0 {
		x = 0 // not -0
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}
