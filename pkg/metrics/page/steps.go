package page

import "time"

// step is a value and the time from which it is valid, in milliseconds of Unix time.
type step[V comparable] struct {
	at    int64
	value V
}

// steps is a history of values. It contains an entry for each change only, so that a constant value
// takes no memory.
type steps[V comparable] []step[V]

// set appends the current value and removes entries that ended before the oldest time.
func (s *steps[V]) set(now, oldest time.Time, value V) {
	all := *s
	for len(all) > 1 && all[1].at <= oldest.UnixMilli() {
		all = all[1:]
	}
	if n := len(all); n == 0 || all[n-1].value != value {
		all = append(all, step[V]{at: now.UnixMilli(), value: value})
	}
	*s = all
}
