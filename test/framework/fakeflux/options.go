package main

import (
	"fmt"
	"strings"
)

// Kinds of options by their argument.
const (
	noArgument = iota
	needsArgument
	mayHaveArgument // only as --name=ARG
)

type option struct {
	name  string
	short byte
	kind  int
}

// parsedOptions are the options of a command line and its other words.
type parsedOptions struct {
	given  map[string][]string
	others []string
}

func (p parsedOptions) has(name string) bool { return len(p.given[name]) > 0 }

func (p parsedOptions) last(name string) string {
	if v := p.given[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// parseOptions reads a command line as getopt_long(3) and Python's argparse do:
// names may be abbreviated. Options end at the first other word, unless they may
// stand anywhere.
func parseOptions(args []string, table []option, anywhere bool) (parsedOptions, error) {
	p := parsedOptions{given: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			p.others = append(p.others, args[i+1:]...)
			return p, nil
		case len(arg) < 2 || arg[0] != '-':
			if !anywhere {
				p.others = append(p.others, args[i:]...)
				return p, nil
			}
			p.others = append(p.others, arg)
			continue
		}
		used, err := p.add(arg, args[i+1:], table)
		if err != nil {
			return p, usageError{err}
		}
		i += used
	}
	return p, nil
}

// add reads one word with options and tells how many of the next words were
// arguments of them.
func (p parsedOptions) add(arg string, next []string, table []option) (int, error) {
	if name, ok := strings.CutPrefix(arg, "--"); ok {
		name, value, given := strings.Cut(name, "=")
		o, err := lookUpOption(name, table)
		switch {
		case err != nil:
			return 0, err
		case given && o.kind == noArgument:
			return 0, fmt.Errorf("option --%s takes no argument", o.name)
		case !given && o.kind == needsArgument && len(next) == 0:
			return 0, fmt.Errorf("option --%s needs an argument", o.name)
		case !given && o.kind == needsArgument:
			p.given[o.name] = append(p.given[o.name], next[0])
			return 1, nil
		}
		p.given[o.name] = append(p.given[o.name], value)
		return 0, nil
	}
	for letters := arg[1:]; letters != ""; letters = letters[1:] {
		o, err := lookUpLetter(letters[0], table)
		switch rest := letters[1:]; {
		case err != nil:
			return 0, err
		case o.kind == noArgument:
			p.given[o.name] = append(p.given[o.name], "")
			continue
		case o.kind == mayHaveArgument || rest != "":
			p.given[o.name] = append(p.given[o.name], rest)
			return 0, nil
		case len(next) == 0:
			return 0, fmt.Errorf("option -%c needs an argument", o.short)
		default:
			p.given[o.name] = append(p.given[o.name], next[0])
			return 1, nil
		}
	}
	return 0, nil
}

func lookUpOption(name string, table []option) (option, error) {
	var found []option
	for _, o := range table {
		if o.name == name {
			return o, nil
		}
		if strings.HasPrefix(o.name, name) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return option{}, fmt.Errorf("unknown option --%s", name)
	default:
		return option{}, fmt.Errorf("option --%s is ambiguous", name)
	}
}

func lookUpLetter(letter byte, table []option) (option, error) {
	for _, o := range table {
		if o.short == letter {
			return o, nil
		}
	}
	return option{}, fmt.Errorf("unknown option -%c", letter)
}
