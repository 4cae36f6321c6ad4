package prepare

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// spackImage is the image of a view, below a directory.
func spackImage(at string) map[string]string {
	return map[string]string{
		at + "/opt/view":                                   "-> /opt/views/._view/abc",
		at + "/opt/views/._view/abc/bin/flux":              "-> /opt/software/linux/core/bin/flux",
		at + "/opt/views/._view/abc/bin/python3.11":        "-> /opt/software/linux/python/bin/python3.11",
		at + "/opt/views/._view/abc/bin/python3.11-config": "-> /opt/software/linux/python/bin/python3.11-config",
		at + "/opt/views/._view/abc/bin/python3":           "-> /opt/view/gone",
		at + "/opt/views/._view/abc/lib/libz.so":           "-> /opt/view/lib/libz.so.1",
		at + "/opt/views/._view/abc/lib/libz.so.1":         "z",
		at + "/opt/views/._view/abc/lib/libflux.so":        "-> ../../../../software/linux/core/lib/libflux.so",
		at + "/opt/views/._view/older/bin/flux":            "#!old",
		at + "/opt/software/linux/core/bin/flux":           "#!flux",
		at + "/opt/software/linux/python/bin/python3.11":   "#!python",
	}
}

func viewOf() *plan.View { return &plan.View{Copied: true, MountPath: "/mnt/flux"} }

func TestViewIsCopied(t *testing.T) {
	root := image(t, spackImage(""))
	require.NoError(t, View(t.Context(), viewOf(), ViewOptions{Root: root}))
	read := func(name string) string {
		target, err := os.Readlink(filepath.Join(root, "mnt/flux", name))
		require.NoError(t, err)
		return target
	}
	assert.Equal(t, "/opt/software/linux/core/bin/flux", read("view/bin/flux"), "packages stay where they are")
	assert.Equal(t, "/opt/software/linux/core/lib/libflux.so", read("view/lib/libflux.so"), "a relative link out of the view")
	assert.Equal(t, "/mnt/flux/view/lib/libz.so.1", read("view/lib/libz.so"), "the view is elsewhere")
	assert.Equal(t, "python3.11", read("view/bin/python3"), "led nowhere")
	assert.Equal(t, "python3.11", read("view/bin/python"), "was missing")
	assert.FileExists(t, filepath.Join(root, "mnt/flux/software/linux/core/bin/flux"))
	assert.FileExists(t, filepath.Join(root, "mnt/flux/flux-operator-done.txt"))

	require.NoError(t, os.Remove(filepath.Join(root, "mnt/flux/view/lib/libz.so.1")))
	require.NoError(t, View(t.Context(), viewOf(), ViewOptions{Root: root}))
	assert.NoFileExists(t, filepath.Join(root, "mnt/flux/view/lib/libz.so.1"), "a complete view is not copied again")
	require.NoError(t, os.Remove(filepath.Join(root, "mnt/flux/flux-operator-done.txt")))
	require.NoError(t, View(t.Context(), viewOf(), ViewOptions{Root: root}))
	assert.FileExists(t, filepath.Join(root, "mnt/flux/view/lib/libz.so.1"), "continued")
}

func TestViewIsLinked(t *testing.T) {
	root := image(t, spackImage(plan.ViewImageDir))
	for range 2 {
		require.NoError(t, View(t.Context(), viewOf(), ViewOptions{Root: root, Image: plan.ViewImageDir}))
		target, err := os.Readlink(filepath.Join(root, "mnt/flux/view"))
		require.NoError(t, err)
		assert.Equal(t, plan.ViewImageDir+"/opt/views/._view/abc", target)
		target, err = os.Readlink(filepath.Join(root, "mnt/flux/software/linux"))
		require.NoError(t, err)
		assert.Equal(t, plan.ViewImageDir+"/opt/software/linux", target)
		require.NoError(t, os.Remove(filepath.Join(root, "mnt/flux/flux-operator-done.txt")))
	}
}

func TestViewThatIsNotWanted(t *testing.T) {
	root := image(t, nil)
	require.NoError(t, View(t.Context(), &plan.View{MountPath: "/mnt/flux"}, ViewOptions{Root: root}))
	assert.DirExists(t, filepath.Join(root, "mnt/flux/software"))
	assert.NoDirExists(t, filepath.Join(root, "mnt/flux/view"))
}

func TestFindView(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"the target of the link": {spackImage(""), "/opt/views/._view/abc"},
		"a relative link":        {map[string]string{"/opt/view": "-> views/._view/b", "/opt/views/._view/a/bin/flux": "", "/opt/views/._view/b/bin/flux": ""}, "/opt/views/._view/b"},
		"without a link":         {map[string]string{"/opt/views/._view/a/bin/no": "", "/opt/views/._view/b/bin/flux": ""}, "/opt/views/._view/b"},
		"not by spack":           {map[string]string{"/opt/view/bin/flux": ""}, "/opt/view"},
		"none":                   {nil, ""},
		"one without flux":       {map[string]string{"/opt/views/._view/a/bin/no": ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findView(newSystem(image(t, test.files)), "")
			assert.Equal(t, test.want, got)
			if test.want == "" {
				assert.ErrorContains(t, err, "no view with Flux in the image")
			} else {
				assert.NoError(t, err)
			}
		})
	}
}
