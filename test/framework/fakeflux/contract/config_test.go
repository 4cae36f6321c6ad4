package contract

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A broker rejects a configuration with a reason, or runs with it.
func TestConfig(t *testing.T) {
	replace := func(old, with string) func(string) string {
		return func(text string) string { return strings.ReplaceAll(text, old, with) }
	}
	add := func(more string) func(string) string {
		return func(text string) string { return text + more }
	}
	for name, tc := range map[string]struct {
		edit func(string) string
		rank int
		err  string // a part of the message; empty if it runs
	}{
		"unchanged":                     {add(""), 0, ""},
		"TOML syntax":                   {add("[broken"), 0, "onfig file error"},
		"unknown table":                 {add("[nosuch]\nx = 1\n"), 0, ""},
		"unknown key in bootstrap":      {replace("default_port", "nosuch = 1\ndefault_port"), 0, "bootstrap"},
		"unknown key in hosts":          {replace(`{ host`, `{ nosuch = 1, host`), 0, "bootstrap"},
		"unknown key in access":         {replace("[access]", "[access]\nnosuch = true"), 0, "access"},
		"unknown key in resource":       {replace("[resource]", "[resource]\nnosuch = true"), 0, "resource"},
		"unknown key in tbon":           {add("[tbon]\nnosuch = 1\n"), 0, ""},
		"unknown key in kvs":            {add("[kvs]\nnosuch = 1\n"), 0, ""},
		"wrong type":                    {replace("default_port = ", `default_port = "x" #`), 0, "bootstrap"},
		"port":                          {replace("default_port = ", "default_port = 70000 #"), 0, "default_port"},
		"no duration":                   {add("[tbon]\nconnect_timeout = \"5 s\"\n"), 1, "connect_timeout"},
		"duration":                      {add("[heartbeat]\nperiod = \"0.5s\"\n"), 0, ""},
		"no heartbeat":                  {add("[heartbeat]\nperiod = \"x\"\n"), 0, "heartbeat"},
		"not a host of it":              {replace("c-[", "d-["), 0, "c-0 not found in hosts"},
		"not a host of it, a follower":  {replace("c-[", "d-["), 1, "c-1 not found in hosts"},
		"underscore":                    {replace("c-[0-3]", "c-[0-3],a_b"), 0, "a_b"},
		"hostlist":                      {replace("c-[0-3]", "c-[0-"), 0, "hosts"},
		"hosts twice":                   {replace(`hosts = [`, `hosts = [ { host = "c-[0-1]" },`), 0, ""},
		"more hosts than R has":         {replace("c-[0-3]", "c-[0-4]"), 0, "Number of hosts (5) is greater than node count (4)"},
		"fewer hosts than R has":        {replace("c-[0-3]", "c-[0-2]"), 0, "Number of hosts (3) is less than node count (4)"},
		"no certificate":                {replace("curve_cert", "#"), 0, "curve_cert"},
		"scheme":                        {replace("tcp://", "udp://"), 0, "udp"},
		"no R":                          {replace("/R\"", "/nosuch\""), 0, "nosuch"},
		"quorum is checked by the lead": {add(""), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f flux) {
				i := newInstance(t, f, 4, "")
				i.write(t, "broker.toml", tc.edit(i.config("")))
				if tc.err != "" {
					r := finish(t, f.command(nil, append([]string{"broker"}, i.options(tc.rank, "-Sbroker.quorum=1", "true")...)...))
					assert.Equal(t, 1, r.code)
					assert.Contains(t, r.errors, tc.err)
					return
				}
				r := finish(t, f.command(nil, append([]string{"broker"}, i.options(tc.rank, "-Sbroker.quorum=1", "echo", "up")...)...))
				assert.Zero(t, r.code, r.errors)
				assert.Equal(t, "up\n", r.out)
			})
		})
	}
}

func TestQuorum(t *testing.T) {
	for value, ok := range map[string]bool{"1": true, "0": true, "5": false, "x": false, "0-1": false} {
		t.Run(value, func(t *testing.T) {
			each(t, func(t *testing.T, f flux) {
				i := newInstance(t, f, 4, "")
				r := finish(t, f.command(nil, append([]string{"broker"}, i.options(0, "-Sbroker.quorum="+value, "true")...)...))
				if ok {
					assert.Zero(t, r.code, r.errors)
					return
				}
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.errors, "quorum")
			})
		})
	}
}

// The certificate is rejected unless it is well formed, a matching pair, and unreadable for others.
func TestCertificate(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(string) string
		mode os.FileMode
		err  string
	}{
		"unchanged":            {nil, 0o600, ""},
		"readable by a group":  {nil, 0o640, "readable by group/other"},
		"readable by others":   {nil, 0o604, "readable by group/other"},
		"writable by a group":  {nil, 0o620, ""},
		"read only":            {nil, 0o400, ""},
		"missing":              {func(string) string { return "" }, 0, "No such file"},
		"empty":                {func(string) string { return "" }, 0o600, "Invalid argument"},
		"no indentation":       {func(s string) string { return strings.ReplaceAll(s, "    ", "") }, 0o600, "Invalid argument"},
		"two blanks":           {func(s string) string { return strings.ReplaceAll(s, "    ", "  ") }, 0o600, ""},
		"no comments":          {func(s string) string { return from(s, "metadata") }, 0o600, ""},
		"no metadata":          {func(s string) string { return from(s, "curve\n") }, 0o600, "Invalid argument"},
		"underscore in value":  {func(s string) string { return strings.Replace(s, "metadata\n", "metadata\n    x = \"a_b\"\n", 1) }, 0o600, "Invalid argument"},
		"underscore in a key":  {func(s string) string { return strings.Replace(s, "metadata\n", "metadata\n    x_y = \"a\"\n", 1) }, 0o600, "Invalid argument"},
		"no quotes":            {func(s string) string { return strings.Replace(s, "metadata\n", "metadata\n    x = a\n", 1) }, 0o600, "Invalid argument"},
		"public key only":      {func(s string) string { return strings.TrimSuffix(s, from(s, "    secret-key")) }, 0o600, "Invalid argument"},
		"not a pair":           {otherPublicKey, 0o600, "Invalid argument"},
		"unknown key in curve": {func(s string) string { return s + "    x = \"1\"\n" }, 0o600, "Invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, f flux) {
				i := newInstance(t, f, 4, "")
				text, err := os.ReadFile(i.path("curve.cert"))
				require.NoError(t, err)
				if tc.edit != nil {
					text = []byte(tc.edit(string(text)))
				}
				require.NoError(t, os.Remove(i.path("curve.cert")))
				if tc.mode != 0 {
					i.write(t, "curve.cert", string(text))
					require.NoError(t, os.Chmod(i.path("curve.cert"), tc.mode))
				}
				r := finish(t, f.command(nil, append([]string{"broker"}, i.options(0, "-Sbroker.quorum=1", "true")...)...))
				if tc.err == "" {
					assert.Zero(t, r.code, r.errors)
					return
				}
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.errors, tc.err)
			})
		})
	}
}

// from returns the rest of a text from a word on.
func from(text, word string) string {
	before, _, _ := strings.Cut(text, word)
	return strings.TrimPrefix(text, before)
}

// otherPublicKey replaces the public key by one that belongs to another secret.
func otherPublicKey(s string) string {
	return regexp.MustCompile(`public-key = "[^\n]*`).ReplaceAllLiteralString(s, `public-key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"`)
}

// The directories of a broker belong to the owner.
func TestDirectories(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i := newInstance(t, f, 1, "")
		require.NoError(t, os.Chmod(i.path("state"), 0o500))
		r := finish(t, f.command(nil, append([]string{"broker"}, i.options(0, "true")...)...))
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.errors, "does not have owner=rwx permissions")
		require.NoError(t, os.Remove(i.path("state")))
		r = finish(t, f.command(nil, append([]string{"broker"}, i.options(0, "true")...)...))
		assert.Zero(t, r.code, r.errors) // created and removed by the broker
		_, err := os.Stat(i.path("state"))
		assert.ErrorIs(t, err, syscall.ENOENT)
	})
}
