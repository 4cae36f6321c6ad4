package allocation

// heap is a binary heap of numbers; less compares two of them and must be a total order.
type heap struct {
	less func(a, b int) bool
	all  []int
}

func (h *heap) push(n int) {
	h.all = append(h.all, n)
	for i := len(h.all) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.less(h.all[i], h.all[parent]) {
			return
		}
		h.all[i], h.all[parent] = h.all[parent], h.all[i]
		i = parent
	}
}

// fix moves the first number to its place after its order has changed.
func (h *heap) fix() {
	for i := 0; ; {
		first := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(h.all) && h.less(h.all[child], h.all[first]) {
				first = child
			}
		}
		if first == i {
			return
		}
		h.all[i], h.all[first] = h.all[first], h.all[i]
		i = first
	}
}

// drop removes the first number.
func (h *heap) drop() {
	last := len(h.all) - 1
	h.all[0] = h.all[last]
	h.all = h.all[:last]
	h.fix()
}
