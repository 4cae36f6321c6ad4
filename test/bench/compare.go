package main

import (
	"fmt"
	"io"
)

// compare writes a row of a table: the operator, its limit and their ratio, and in a table with a floor also the floor
// and its ratio. The values are those of the operator and of its limit, and those of the floor and of its limit. A
// value of 0 was not measured: its cell is empty. A row without any value is omitted.
func compare(w io.Writer, name, format string, values ...float64) {
	cells, measured := name+"\t", false
	for i, v := range values {
		cell := ""
		if v != 0 {
			cell, measured = fmt.Sprintf(format, v), true
		}
		switch {
		case i%2 == 0:
			cells += cell + "\t"
		case i == 1:
			cells += cell + "\t" + ratio(values[0], v) + "\t"
		default:
			cells += ratio(values[i-1], v) + "\t"
		}
	}
	if measured {
		fmt.Fprintln(w, cells)
	}
}

// compareRSS is compare for memory in bytes.
func compareRSS(w io.Writer, name string, operator, raw, floor int64) {
	const mib = 1 << 20
	compare(w, name, "%.0f MiB", float64(operator)/mib, float64(raw)/mib, float64(floor)/mib, float64(raw)/mib)
}

// ratio is empty if a or b was not measured.
func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}
