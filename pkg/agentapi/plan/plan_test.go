package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlanSurvivesItsText(t *testing.T) {
	want := &Plan{
		Name: "flux-sample", Namespace: "flux-operator", Hosts: "flux-sample-[0-3]", HostCount: 4, Size: 2,
		Files:    Files{Socket: "/run/flux/local"},
		Lead:     Program{Mode: ModeSubmit, Command: "echo 'x  y' \"$HOME\" \\ | cat\n# ünï\x01"},
		Sidecars: []Sidecar{{Name: "nginx", Command: "nginx -g 'daemon off;'"}},
	}
	text, err := want.Text()
	require.NoError(t, err)
	got, err := Parse([]byte(text))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, "nginx", got.Sidecar("nginx").Name)
	assert.Nil(t, got.Sidecar("other"))
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":       "hosts",
		"an empty plan": "{}",
		"wrong type":    `{"name": 1}`,
		"no socket":     `{"name":"a","hosts":"a-0"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(text))
			assert.ErrorContains(t, err, "reading the agent's plan")
		})
	}
	_, err := Parse([]byte(`{"name":"a","hosts":"a-0","files":{"socket":"/s"},"later":true}`))
	assert.NoError(t, err, "an unknown field of a newer controller")
}

func TestSystemMounts(t *testing.T) {
	mounts := SystemMounts()
	paths := map[string]bool{}
	for _, m := range mounts {
		assert.False(t, paths[m.Path] || paths[m.SubPath], "%s is mounted twice", m.Path)
		assert.NotContains(t, []string{"/etc/flux", "/etc", "/run", "/var/lib"}, m.Path, "files of the image stay visible")
		paths[m.Path], paths[m.SubPath] = true, true
	}
	assert.Contains(t, mounts, RunMount())
}
