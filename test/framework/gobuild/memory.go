package gobuild

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// memoryPerCompiler is the memory for each processor, in bytes, from which on the compilers collect less garbage.
const memoryPerCompiler = 2 << 30

// compilerMemory lets the compiler and the linker, which are short-lived programs, collect garbage only when they need
// much memory. It saves an eighth of the CPU time of a first build. A compiler of a large package then needs 1 GB
// instead of 350 MB, and one runs on each processor, so machines with less memory keep the defaults of Go. A user's own
// settings apply instead.
func compilerMemory(memory uint64, processors int) []string {
	if memory/uint64(max(1, processors)) < memoryPerCompiler { //nolint:gosec // not negative
		return nil
	}
	return []string{"GOGC=off", "GOMEMLIMIT=2GiB"}
}

// memory returns the memory of the machine, or of the container, in bytes. It returns 0 if that is unknown.
func memory() uint64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	limit, _ := os.ReadFile("/sys/fs/cgroup/memory.max") // of a container
	return memoryOf(string(info), string(limit))
}

// memoryOf returns the smaller of the memory in the text of /proc/meminfo and that in memory.max of a control group,
// which may be "max" or empty.
func memoryOf(info, limit string) uint64 {
	var total uint64
	for line := range strings.Lines(info) {
		if n, _ := fmt.Sscanf(line, "MemTotal: %d kB", &total); n == 1 {
			break
		}
	}
	most := uint64(math.MaxUint64)
	_, _ = fmt.Sscan(limit, &most) // unchanged if it is no number
	return min(total<<10, most)
}
