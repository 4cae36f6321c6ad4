package main

import (
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// options are the options of a command line, and its other arguments.
type options struct{ *pflag.FlagSet }

// parseOptions parses a command line. The table has a word for each option: its name and optionally, after a comma,
// its letter, then "=" if it has a value or "?" if the value is optional. Options end at the first other argument,
// unless they may be anywhere.
func parseOptions(args []string, anywhere bool, table string) (options, error) {
	set := pflag.NewFlagSet("flux", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.SetInterspersed(anywhere)
	for word := range strings.FieldsSeq(table) {
		name, needsValue := strings.CutSuffix(strings.TrimSuffix(word, "?"), "=")
		name, letter, _ := strings.Cut(name, ",")
		set.StringArrayP(name, letter, nil, "")
		if !needsValue {
			set.Lookup(name).NoOptDefVal = " "
		}
	}
	if err := set.Parse(args); err != nil {
		return options{}, err
	}
	return options{set}, nil
}

func (o options) has(name string) bool { return o.Changed(name) }

// all returns the values of an option that can be repeated.
func (o options) all(name string) []string {
	values, err := o.GetStringArray(name)
	if err != nil {
		return nil
	}
	return values
}

// last returns the last value of an option, "" if there is none.
func (o options) last(name string) string {
	if values := o.all(name); len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}
