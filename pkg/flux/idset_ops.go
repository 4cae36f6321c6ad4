package flux

import "slices"

// Union returns the numbers that are in s, in t or in both.
func (s IDSet) Union(t IDSet) IDSet {
	return normalized(slices.Concat(s.ranges, t.ranges))
}

// Intersect returns the numbers that are in both s and t.
func (s IDSet) Intersect(t IDSet) IDSet {
	var out []idRange
	for i, j := 0, 0; i < len(s.ranges) && j < len(t.ranges); {
		a, b := s.ranges[i], t.ranges[j]
		if first, last := max(a.first, b.first), min(a.last, b.last); first <= last {
			out = append(out, idRange{first, last})
		}
		if a.last < b.last {
			i++
		} else {
			j++
		}
	}
	return IDSet{ranges: out}
}

// Without returns the numbers that are in s and not in t.
func (s IDSet) Without(t IDSet) IDSet {
	var out []idRange
	j := 0
	for _, r := range s.ranges {
		for j < len(t.ranges) && t.ranges[j].last < r.first {
			j++
		}
		next := r.first // the smallest number of r that is not processed yet
		for k := j; k < len(t.ranges) && t.ranges[k].first <= r.last; k++ {
			if cut := t.ranges[k]; cut.first > next {
				out = append(out, idRange{next, cut.first - 1})
			}
			next = t.ranges[k].last + 1
		}
		if next <= r.last {
			out = append(out, idRange{next, r.last})
		}
	}
	return IDSet{ranges: out}
}

// Equal reports whether s and t contain the same numbers.
func (s IDSet) Equal(t IDSet) bool { return slices.Equal(s.ranges, t.ranges) }

// First returns the smallest n numbers of s, or all if there are fewer.
func (s IDSet) First(n int) IDSet {
	var out []idRange
	for _, r := range s.ranges {
		if n <= 0 {
			break
		}
		if size := int(r.last-r.first) + 1; size > n {
			r.last = r.first + uint32(n) - 1
		}
		n -= int(r.last-r.first) + 1
		out = append(out, r)
	}
	return IDSet{ranges: out}
}
