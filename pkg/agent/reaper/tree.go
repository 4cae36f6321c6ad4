package reaper

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Info describes a process that has not ended.
type Info struct {
	// PID, Parent and Group are its process ID, that of its parent, and that of the leader of its process group.
	PID, Parent, Group int
	// Name is the name of its program, at most 15 bytes.
	Name string
}

// Processes returns the processes of the container by their ID, proc_pid_stat(5). Any user may read this.
func Processes() map[int]Info {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	out := map[int]Info{}
	for _, dir := range dirs {
		if p, ok := readInfo(filepath.Base(dir)); ok {
			out[p.PID] = p
		}
	}
	return out
}

// readInfo describes a process, and reports whether it exists and has not ended.
func readInfo(pid string) (Info, bool) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return Info{}, false
	}
	// The name is in parentheses, and may contain parentheses.
	text := string(stat)
	begin, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return Info{}, false
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 3 || fields[0] == "Z" || fields[0] == "X" {
		return Info{}, false
	}
	p := Info{Name: text[begin+1 : end]}
	for i, to := range []*int{&p.PID, &p.Parent, &p.Group} {
		if *to, err = strconv.Atoi([]string{pid, fields[1], fields[2]}[i]); err != nil {
			return Info{}, false
		}
	}
	return p, true
}

// children returns the children of a process.
func children(parent int) []int {
	var out []int
	for pid, p := range Processes() {
		if p.Parent == parent {
			out = append(out, pid)
		}
	}
	return out
}
