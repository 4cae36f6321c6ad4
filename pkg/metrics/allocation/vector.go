package allocation

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"strings"
)

// Vector is an amount of each resource, in an order that the caller chooses.
type Vector []int64

// Need is an amount of a resource with an index in vectors, or -1 for a resource that no node has.
type Need struct {
	Index  int
	Amount int64
}

// Needs are the amounts that a pod requests, without zeros, sorted by index.
type Needs []Need

// String returns a unique representation.
func (all Needs) String() string {
	var text strings.Builder
	for _, n := range all {
		fmt.Fprintf(&text, "%d:%d,", n.Index, n.Amount)
	}
	return text.String()
}

// of returns the amount of a resource.
func (all Needs) of(index int) int64 {
	for _, n := range all {
		if n.Index == index {
			return n.Amount
		}
	}
	return 0
}

// covers reports whether all amounts of other needs are at most these.
func (all Needs) covers(other Needs) bool {
	for _, n := range other {
		if all.of(n.Index) < n.Amount {
			return false
		}
	}
	return true
}

// unlimited is the number of pods that fit if they request nothing.
const unlimited int64 = math.MaxInt64

// Plus adds another vector.
func (v Vector) Plus(o Vector) {
	for i, n := range o {
		v[i] += n
	}
}

// subtract subtracts another vector.
func (v Vector) subtract(o Vector) {
	for i, n := range o {
		v[i] -= n
	}
}

// Minus subtracts needs some times.
func (v Vector) Minus(all Needs, times int64) {
	for _, n := range all {
		if n.Index >= 0 {
			v[n.Index] -= times * n.Amount
		}
	}
}

// TimesFit returns how often needs fit into an amount, which is never less than 0. Other resources do not matter, even
// if they are overcommitted.
func (v Vector) TimesFit(all Needs) int64 {
	fit := unlimited
	for _, n := range all {
		if n.Index < 0 {
			return 0
		}
		if v[n.Index] < n.Amount {
			return 0
		}
		fit = min(fit, v[n.Index]/n.Amount)
	}
	return fit
}

// fits reports whether needs fit into an amount.
func (v Vector) fits(all Needs) bool {
	for _, n := range all {
		if n.Index < 0 || v[n.Index] < n.Amount {
			return false
		}
	}
	return true
}

// fitsWith reports whether needs fit into the sum of two amounts.
func (v Vector) fitsWith(o Vector, all Needs) bool {
	for _, n := range all {
		if n.Index < 0 || v[n.Index]+o[n.Index] < n.Amount {
			return false
		}
	}
	return true
}

// Bitset is a set of small numbers.
type Bitset []uint64

// NewBitset returns an empty set of numbers below a size.
func NewBitset(size int) Bitset { return make(Bitset, (size+63)/64) }

// Set adds a number.
func (b Bitset) Set(i int) { b[i/64] |= 1 << (i % 64) }

// Has reports whether the set has a number.
func (b Bitset) Has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// All iterates over the numbers in the set, in ascending order.
func (b Bitset) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for word, set := range b {
			for ; set != 0; set &= set - 1 {
				if !yield(64*word + bits.TrailingZeros64(set)) {
					return
				}
			}
		}
	}
}

// within reports whether another set has all numbers of this one.
func (b Bitset) within(o Bitset) bool {
	for i, word := range b {
		if word&^o[i] != 0 {
			return false
		}
	}
	return true
}

// overlaps reports whether both sets have a number in common.
func (b Bitset) overlaps(o Bitset) bool {
	for i, word := range b {
		if word&o[i] != 0 {
			return true
		}
	}
	return false
}

// text returns a unique representation.
func (b Bitset) text() string {
	text := make([]byte, 0, 8*len(b))
	for _, word := range b {
		text = binary.LittleEndian.AppendUint64(text, word)
	}
	return string(text)
}
