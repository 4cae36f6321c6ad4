package page

import "time"

// step is a value, and from when on it held, in milliseconds of Unix time.
type step[V comparable] struct {
	at    int64
	value V
}

// steps is what something was over time. There is an entry only where it changed, so what
// stays as it is takes no memory.
type steps[V comparable] []step[V]

// set adds what the value is now, and forgets what was over before the oldest moment of
// interest.
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
