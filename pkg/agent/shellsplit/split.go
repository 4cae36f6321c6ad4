package shellsplit

import (
	"slices"
	"strings"
)

// shellBuiltins are the words with a special meaning at the start of a shell command: reserved words, and built-in
// commands for which images have no program.
var shellBuiltins = []string{
	"!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "then", "until", "while", "[[", "time",
	".", ":", "alias", "bg", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "fg", "getopts", "hash", "jobs", "local",
	"read", "readonly", "return", "set", "shift", "source", "times", "trap", "type", "ulimit", "umask", "unalias", "unset", "wait",
}

// split splits plain words as a POSIX shell does (Shell Command Language, 2.2 Quoting). It returns false for a text
// that only a shell can interpret: one with an expansion, a redirection, a pattern, an operator, several lines, an
// assignment, a word of the shell itself, or an unterminated quote.
func split(text string) ([]string, bool) {
	s := splitter{text: strings.Trim(text, " \t\n")}
	for s.pos < len(s.text) {
		if !s.next() {
			return nil, false
		}
	}
	s.end()
	if s.assigns || (len(s.words) > 0 && !s.firstQuoted && slices.Contains(shellBuiltins, s.words[0])) {
		return nil, false
	}
	return s.words, true
}

type splitter struct {
	text string
	pos  int

	words       []string
	word        strings.Builder
	inWord      bool // also in an empty quoted word
	quoted      bool // a part of the word is quoted
	firstQuoted bool // a part of the first word is quoted
	assigns     bool // the first word assigns a variable
}

// next reads the next piece of a word, or the space between two words. It returns false for text that only a shell can
// interpret.
func (s *splitter) next() bool {
	c := s.text[s.pos]
	switch c {
	case ' ', '\t':
		s.end()
		s.pos++
	case '\'':
		end := strings.IndexByte(s.text[s.pos+1:], '\'')
		if end < 0 {
			return false
		}
		s.add(s.text[s.pos+1:s.pos+1+end], true)
		s.pos += end + 2
	case '"':
		return s.doubleQuotes()
	case '\\':
		if s.pos+1 >= len(s.text) || s.text[s.pos+1] == '\n' {
			return false
		}
		s.add(s.text[s.pos+1:s.pos+2], true)
		s.pos += 2
	case '#', '~':
		if !s.inWord || c == '~' { // ~ has a meaning after = and : too
			return false
		}
		s.add(string(c), false)
		s.pos++
	default:
		if strings.IndexByte("$;&|<>()*?[]{}`\n\r\v\f", c) >= 0 {
			return false
		}
		if c == '=' && len(s.words) == 0 && !s.quoted {
			s.assigns = true
		}
		s.add(s.text[s.pos:s.pos+1], false)
		s.pos++
	}
	return true
}

func (s *splitter) doubleQuotes() bool {
	for i := s.pos + 1; i < len(s.text); i++ {
		switch c := s.text[i]; c {
		case '"':
			s.add("", true)
			s.pos = i + 1
			return true
		case '$', '`':
			return false
		case '\\':
			if i+1 < len(s.text) && strings.IndexByte("$`\"\\\n", s.text[i+1]) >= 0 {
				i++
				if s.text[i] == '\n' {
					continue // a line continuation
				}
			}
			s.add(s.text[i:i+1], true)
		default:
			s.add(s.text[i:i+1], true)
		}
	}
	return false
}

func (s *splitter) add(piece string, quoted bool) {
	s.word.WriteString(piece)
	s.inWord = true
	s.quoted = s.quoted || quoted
}

func (s *splitter) end() {
	if !s.inWord {
		return
	}
	if len(s.words) == 0 {
		s.firstQuoted = s.quoted
	}
	s.words = append(s.words, s.word.String())
	s.word.Reset()
	s.inWord, s.quoted = false, false
}
