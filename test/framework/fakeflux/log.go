package main

import (
	"fmt"
	"os"
	"strconv"
)

// logger writes a broker's log to stderr up to log-stderr-level: 3 errors (the default), 6 information, 7 everything.
type logger struct {
	rank  int
	level int
	// local: log-stderr-mode is local, and each line has its severity as a prefix, as the journal of systemd expects.
	local bool
}

func newLogger(rank int, a attributes) logger {
	level, err := strconv.Atoi(a["log-stderr-level"])
	if err != nil {
		level = 3
	}
	return logger{rank, level, a["log-stderr-mode"] == "local"}
}

func (l logger) write(level int, name, format string, args ...any) {
	if level <= l.level {
		if l.local {
			fmt.Fprintf(os.Stderr, "<%d>broker.%s[%d]: %s\n", level, name, l.rank, fmt.Sprintf(format, args...))
			return
		}
		fmt.Fprintf(os.Stderr, "broker.%s[%d]: %s\n", name, l.rank, fmt.Sprintf(format, args...))
	}
}

func (l logger) error(format string, args ...any) { l.write(3, "err", format, args...) }
func (l logger) info(format string, args ...any)  { l.write(6, "info", format, args...) }
