package resources

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// TestShellText checks the words, the first operator and the quote that is not closed.
func TestShellText(t *testing.T) {
	for text, want := range map[string]shellText{
		"":                              {},
		"a  b\tc\nd":                    {words: []string{"a", "b", "c", "d"}},
		`--setattr=system.x='a -N 9' b`: {words: []string{"--setattr=system.x=a -N 9", "b"}},
		`a "b 'c" 'd "e'`:               {words: []string{"a", "b 'c", `d "e`}},
		`a\ b \'c`:                      {words: []string{"a b", "'c"}},
		"a \\\n b":                      {words: []string{"a", "b"}},
		"a # it's a comment\nb":         {words: []string{"a", "b"}},
		"a#b":                           {words: []string{"a#b"}},
		"a '|' b | c > d":               {words: []string{"a", "|", "b", "|", "c", ">", "d"}, operator: '|'},
		"echo 'a":                       {words: []string{"echo", "a"}, open: '\''},
		`echo "a`:                       {words: []string{"echo", "a"}, open: '"'},
		`''`:                            {words: []string{""}},
		"a $(b <c | d) e":               {words: []string{"a", "$(b", "<c", "|", "d)", "e"}},
		"a $(b) | c":                    {words: []string{"a", "$(b)", "|", "c"}, operator: '|'},
		`"$(echo "a')"`:                 {words: []string{"$(echo a)\""}},
		`$'it\'s'`:                      {words: []string{`it\s`}},
	} {
		got := readShell(text)
		if want.words == nil {
			want.words = got.words
		}
		assert.Equal(t, want, got, text)
	}
}

func TestHereDocumentsAreData(t *testing.T) {
	for script, want := range map[string]string{
		"cat > x.py <<'EOF'\nx = [[ 1 ]]\nit's\nEOF\nnext":      "cat > x.py <<'EOF'\n\n\n\nnext",
		"cat <<-END > f\n\tsource x\n\tEND\nsource y":           "cat <<-END > f\n\n\nsource y",
		"a <<A; b <<\"B C\"\n1\nA\n2\nB C\nc":                   "a <<A; b <<\"B C\"\n\n\n\n\nc",
		"cat <<EOF\nEOF\nsource x":                              "cat <<EOF\n\nsource x",
		"cat <<EOF\nit has no end":                              "cat <<EOF\nit has no end",
		"cat <<END.TXT\nit's\nEND.TXT\na":                       "cat <<END.TXT\n\n\na",
		"read x <<<word\nword":                                  "read x <<<word\nword",
		"x=$((1<<n))\nn":                                        "x=$((1<<n))\nn",
		"# cat <<EOF\nsource x\nEOF":                            "# cat <<EOF\nsource x\nEOF",
		"cat <<\\EOF\na\nEOF\ncat <<EOF\nb\nEOF\nsource lastly": "cat <<\\EOF\n\n\ncat <<EOF\n\n\nsource lastly",
	} {
		assert.Equal(t, want, withoutHereDocuments(script), script)
	}
}

// TestManyHereDocumentsWithoutAnEnd: the time grows with the size of the text and not with its square.
func TestManyHereDocumentsWithoutAnEnd(t *testing.T) {
	script := strings.Repeat("cat <<A\n", 200_000)
	assert.Equal(t, script, withoutHereDocuments(script))
}

func TestFurtherConstructsOfBash(t *testing.T) {
	for text, want := range map[string]string{
		"time lmp":                            "time",
		"wait -n":                             "wait -n",
		"export A=(1 2)":                      "export A=(",
		"export -n A":                         "export -n",
		"echo $UID":                           "$UID",
		"test a == b && c":                    "test a ==",
		"x=\"$(<file)\"":                      "$(<file)",
		"a=$((a++))":                          "$((a++))",
		"set -eE":                             "set -eE",
		"a >& log":                            ">& l",
		"case a in a) b ;& esac":              ";&",
		"read -n 1 x":                         "read -n",
		"cat <<'E' > f\nsource x\n[[ 1 ]]\nE": "",
		"a >&2 2>&1 >&- >&$fd >&\"$fd\"":      "",
		"x=$((x + 1)); y=$((x-1))":            "",
		"test a = b; timeout 3 a":             "",
		"echo $UIDS; set -e; wait $!; wait":   "",
		"echo ${UID:-0}; x=$(< f tr a b)":     "",
		"echo \"a test x == y\"":              "",
		"if test $a == b; then c; fi":         "test $a ==",
	} {
		assert.Equal(t, want, findBashism(executed(text)), text)
	}
}

// TestCommandsThatNoShellRunsAsMeant tries texts of which a shell runs nothing, or something else.
func TestCommandsThatNoShellRunsAsMeant(t *testing.T) {
	batch := func(c *v1alpha2.MiniClusterContainer) { c.Batch = true }
	raw := func(c *v1alpha2.MiniClusterContainer) { c.Batch, c.BatchRaw = true, true }
	launcher := func(c *v1alpha2.MiniClusterContainer) { c.Launcher = true }
	const at, quote = "spec.containers[0].command: ", " is not closed"
	for name, tc := range map[string]struct {
		command string
		set     func(*v1alpha2.MiniClusterContainer)
		want    string
	}{
		"a quote":                    {command: "lmp -in 'a b", want: at + "the quote '" + quote},
		"a double quote":             {command: "lmp -in \"a b", set: launcher, want: at + "the quote \"" + quote},
		"an apostrophe in quotes":    {command: "echo \"it's\""},
		"an apostrophe":              {command: "echo it's done", want: at + "the quote '" + quote},
		"Python":                     {command: "#!/usr/bin/env python3\nprint(1)", want: at + "a shell runs the command, and not python3"},
		"Python of a batch":          {command: "#!/usr/bin/python3\nprint(1)", set: batch, want: at + "a shell runs the command, and not python3"},
		"Python of a raw batch":      {command: "#!/usr/bin/python3\nprint(1)", set: raw},
		"bash":                       {command: "#!/bin/bash\nsource a.sh\nlmp", want: at + "a shell runs the command, and not bash"},
		"bash that sh understands":   {command: "#!/bin/bash\ncd /data\nlmp"},
		"bash of a raw batch":        {command: "#!/bin/bash\nsource a.sh\nflux run lmp", set: raw},
		"sh":                         {command: "#!/bin/sh\nlmp"},
		"the background":             {command: "lmp &", want: at + "ends with &"},
		"the background of a shell":  {command: "serve & lmp"},
		"two commands":               {command: "a && b"},
		"a comment that ends with &": {command: "lmp # in the background: &"},
		"an escaped &":               {command: "echo a \\&"},
		"a file in a substitution":   {command: "lmp $(cat <f)", set: batch},
		"jobs":                       {command: "lmp -in a\n\n# comment\nlmp -in 'b; c'\nflux run -n 2 lmp", set: batch},
		"a continued line":           {command: "lmp -in a \\\n  -var b", set: batch, want: at + "line 1: a job is one line"},
		"a loop":                     {command: "lmp\nfor i in 1 2; do\n  lmp $i\ndone", set: batch, want: at + "line 2: each line is a job, and \"for\" is no program: set batchRaw"},
		"a variable of a job":        {command: "OMP_NUM_THREADS=2 lmp", set: batch, want: at + "line 1: each line is a job, and \"OMP_NUM_THREADS=2\""},
		"a directory":                {command: "cd /data\nlmp", set: batch, want: at + "line 1: each line is a job, and \"cd\""},
		"a file":                     {command: "lmp > log", set: batch, want: at + "line 1: each line is a job, and \">\" applies to flux submit"},
		"a pipe":                     {command: "lmp | tee log", set: batch, want: at + "line 1: each line is a job, and \"|\""},
		"a loop of a raw batch":      {command: "for i in 1 2; do\n flux submit lmp\ndone", set: raw},
		"a hook's quote": {command: "lmp", set: func(c *v1alpha2.MiniClusterContainer) { c.Commands = &v1alpha2.Commands{Pre: "export A='1\nmkdir b"} },
			want: "spec.containers[0].commands.pre: the quote '" + quote},
		"a script's quote": {set: func(c *v1alpha2.MiniClusterContainer) {
			c.Commands = &v1alpha2.Commands{Script: "#!/bin/bash\necho \"a"}
		},
			want: "spec.containers[0].commands.script: the quote \"" + quote},
		"a script of another language": {set: func(c *v1alpha2.MiniClusterContainer) {
			c.Commands = &v1alpha2.Commands{Script: "#!/usr/bin/perl\n# it's\n"}
		}},
		"a here-document": {command: "lmp", set: func(c *v1alpha2.MiniClusterContainer) { c.Commands = &v1alpha2.Commands{Pre: "cat > a <<E\nit's\nE\n"} }},
	} {
		t.Run(name, func(t *testing.T) {
			mc := sample.MiniCluster(program(tc.command))
			if tc.set != nil {
				tc.set(&mc.Spec.Containers[0])
			}
			requireWarning(t, mc, tc.want)
		})
	}
}

func TestCommandsOfServices(t *testing.T) {
	for command, want := range map[string]string{
		"source env.sh && serve":         "spec.services[0].command: \"source\" is a construct of bash, and /bin/sh runs the command",
		"bash -c 'source env.sh; serve'": "",
		"#!/usr/bin/python3\nserve()":    "spec.services[0].command: /bin/sh runs the command, and not python3",
		"serve --name 'a":                "spec.services[0].command: the quote ' is not closed",
		"cd /srv && exec serve":          "",
	} {
		mc := sample.MiniCluster(func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "a", Image: "a", Command: command}}
		})
		requireWarning(t, mc, want)
	}
}

// requireWarning checks that a MiniCluster has one warning, which begins with a text, or none if the text is empty.
func requireWarning(t *testing.T, mc *v1alpha2.MiniCluster, want string) {
	t.Helper()
	got := Warnings(mc, NewFixed(mc))
	if want == "" {
		assert.Empty(t, got)
	} else if assert.Len(t, got, 1, got) {
		assert.Equal(t, want, got[0][:min(len(want), len(got[0]))], got[0])
	}
}
