package prepare

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

var update = flag.Bool("update", false, "update the golden files")

// golden compares a text with the file of that name in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "run the test with -update")
	assert.Equal(t, string(want), got)
}

// fakeFlux answers like a version of Flux, and prints the arguments of flux R encode as if they were R.
func fakeFlux(version string) string {
	return `#!/bin/sh
case "$1 $2" in
  "version "*) printf 'commands:    \t\t` + version + `\nlibflux-core:\t\t` + version + `\n' ;;
  "config builtin") echo /etc/flux/shell/initrc.lua ;;
  "R encode")
    case "$*" in
      *--local*) printf '{"execution": {"R_lite": [{"rank": "0-3", "children": {"core": "0-7"}}]}, "arguments": "%s"}\n' "$*" ;;
      *) printf '{"arguments": "%s"}\n' "$*" ;;
    esac ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
`
}

// image is the file system of a container: the files of the controller, the init container and the user's image. A
// name that ends in / is a directory.
func image(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{filepath.Dir(root), root} {
		require.NoError(t, os.Chmod(dir, 0o755)) // accessible to another user
	}
	all := map[string]string{
		"/usr/bin/flux": fakeFlux("0.88.0-59-g4a5e79f56"),
		"/bin/sh":       "#!/bin/sh\n",
		"/etc/passwd":   "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false",
		"/etc/group":    "root:x:0:\nvideo:x:44:other,flux\n",
		"/etc/shadow":   "root:*:19000:0:99999:7:::\n",
		plan.ConfigDir + "/" + plan.FileBrokerTOML:       "[access]\nallow-guest-user = true\n",
		plan.CertificateDir + "/" + plan.FileCertificate: "curve\n",
		"/proc/self/status":                              "Cpus_allowed_list:\t0-7\n",
		"/sys/devices/system/cpu/online":                 "0-7\n",
		"/tmp/":                                          "",
	}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		file := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			require.NoError(t, os.MkdirAll(file, 0o755))
			continue
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.Symlink(target, file))
			continue
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), mode))
	}
	return root
}

// tree describes files: kind, owner and content.
func tree(t *testing.T, root string, names ...string) string {
	t.Helper()
	var out strings.Builder
	for _, name := range names {
		err := filepath.WalkDir(filepath.Join(root, name), func(file string, entry fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := entry.Info()
			require.NoError(t, err)
			stat, ok := info.Sys().(*syscall.Stat_t)
			require.True(t, ok)
			fmt.Fprintf(&out, "%v %d:%d %s", info.Mode(), stat.Uid, stat.Gid, strings.TrimPrefix(file, root))
			switch info.Mode().Type() {
			case fs.ModeSymlink:
				target, err := os.Readlink(file)
				require.NoError(t, err)
				fmt.Fprintf(&out, " -> %s\n", target)
			case 0:
				content, err := os.ReadFile(file)
				require.NoError(t, err)
				fmt.Fprintf(&out, "\n\t%s\n", strings.ReplaceAll(strings.TrimSuffix(string(content), "\n"), "\n", "\n\t"))
			default:
				out.WriteByte('\n')
			}
			return nil
		})
		require.NoError(t, err)
	}
	return out.String()
}
