package gitops

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	lua "github.com/yuin/gopher-lua"
	"sigs.k8s.io/yaml"
)

const argoCD = "../../examples/gitops/argocd"

func readArgoCD(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.FromSlash(argoCD), name))
	require.NoError(t, err)
	return data
}

// TestArgoCDHealth runs the health script, as Argo CD does.
func TestArgoCDHealth(t *testing.T) {
	script := string(readArgoCD(t, "health.lua"))
	for _, s := range states(t) {
		health, message := runHealth(t, script, s.mc.Object)
		assert.Equal(t, s.argo, health, "%s: %s", s.name, message)
		assert.NotEmpty(t, message, s.name)
	}
}

// TestArgoCDConfiguration: the ConfigMap has the script that is tested, and the Application the same exceptions.
func TestArgoCDConfiguration(t *testing.T) {
	var patch struct {
		Data map[string]string `json:"data"`
	}
	require.NoError(t, yaml.UnmarshalStrict(readArgoCD(t, "argocd-cm.yaml"), &patch))
	assert.Equal(t, string(readArgoCD(t, "health.lua")), patch.Data["resource.customizations.health.flux-framework.org_MiniCluster"])
	var ignored struct {
		JSONPointers []string `json:"jsonPointers"`
	}
	text := patch.Data["resource.customizations.ignoreDifferences.flux-framework.org_MiniCluster"]
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &ignored))
	assert.Equal(t, []string{"/spec/size"}, ignored.JSONPointers)

	var application struct {
		Spec struct {
			IgnoreDifferences []struct {
				Group, Kind  string
				JSONPointers []string `json:"jsonPointers"`
			} `json:"ignoreDifferences"`
		} `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(readArgoCD(t, "application.yaml"), &application))
	require.Len(t, application.Spec.IgnoreDifferences, 1)
	assert.Equal(t, ignored.JSONPointers, application.Spec.IgnoreDifferences[0].JSONPointers)
}

// runHealth runs a health script on an object. Argo CD gives scripts these libraries only.
func runHealth(t *testing.T, script string, object map[string]any) (health, message string) {
	t.Helper()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		require.NoError(t, l.CallByParam(lua.P{Fn: l.NewFunction(open), Protect: true}, lua.LString(name)))
	}
	l.SetGlobal("obj", toLua(l, object))
	require.NoError(t, l.DoString(script))
	result, ok := l.Get(-1).(*lua.LTable)
	require.True(t, ok, "the script returns a table")
	return lua.LVAsString(result.RawGetString("status")), lua.LVAsString(result.RawGetString("message"))
}

func toLua(l *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case map[string]any:
		table := l.NewTable()
		for key, item := range v {
			table.RawSetString(key, toLua(l, item))
		}
		return table
	case []any:
		table := l.NewTable()
		for _, item := range v {
			table.Append(toLua(l, item))
		}
		return table
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	default:
		return lua.LNil
	}
}
