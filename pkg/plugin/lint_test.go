package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// command runs the plugin without a cluster and with a standard input.
func command(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	cmd := NewCommand(streams)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

const sound = `apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: sound}
spec:
  size: 2
  containers: [{image: a, command: hostname}]
`

func TestLint(t *testing.T) {
	for _, tc := range []struct {
		name string
		text string
		args []string
		want []string // parts of the output, in order
		err  string
	}{
		{name: "sound", text: sound},
		{
			name: "several documents", err: "2 of 3 documents are not valid",
			text: "# a file with other objects\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n---\n" + sound + "---\n" +
				strings.Replace(sound, "size: 2", "size: 2\n  maxSize: 1", 1) + "---\n---\n" + strings.Replace(sound, "image: a", "imagee: a", 1),
			want: []string{
				"standard input: document 3 (sound): error: spec.maxSize: ",
				"standard input: document 4 (sound): error: spec.containers[0].imagee: field does not exist; did you mean spec.containers[0].image?",
			},
		},
		{
			name: "a list", err: "1 of 2",
			text: "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(sound), "\n", "\n  ") +
				"\n- " + strings.ReplaceAll(strings.TrimSpace(strings.Replace(sound, "name: sound", "name: A", 1)), "\n", "\n  ") + "\n",
			want: []string{`document 1, item 2 (A): error: metadata.name: Invalid value: "A"`},
		},
		{
			name: "fields of old templates", err: "1 of 1",
			text: sound + "  localDeploy: true\n  fluxOptionFlags: -x\n  workdir: /a\n",
			want: []string{
				"spec.fluxOptionFlags: field does not exist; did you mean spec.flux.optionFlags?",
				"spec.localDeploy: field does not exist: remove it, and describe directories of the nodes in spec.volumes\n",
			},
		},
		{
			name: "the default of 2023", err: "1 of 2",
			// A volume without a source is a claim in the view layout, and an error in the system layout, which is the default
			// of v1alpha1.
			text: strings.Replace(sound, "command: hostname", "volumes: {data: {path: /data}}", 1) + "---\n" + strings.Replace(
				strings.Replace(sound, "command: hostname", "volumes: {data: {path: /data}}", 1), "v1alpha2", "v1alpha1", 1),
			want: []string{"document 2 (sound): error: spec.containers[0].volumes[data]: "},
		},
		{
			name: "a reserve that can't be read", err: "1 of 1",
			text: sound + "  opportunistic: {reserve: {mem: 10%}}\n",
			want: []string{`(sound): error: spec.opportunistic.reserve[mem]: Invalid value: "10%": "mem" is not the name of a resource: use cpu, memory`},
		},
		{
			name: "fields without effect",
			text: sound + "  fluxRestful: {port: 5000}\n  interactive: true\n",
			want: []string{"without effect: spec.fluxRestful: ", "without effect: spec.containers[0].command: "},
		},
		{
			name: "an old server", args: []string{"--kubernetes-version=v1.28.3"},
			text: strings.Replace(sound, "hostname}", "hostname, runFlux: true}, {name: b, image: nginx}", 1),
			want: []string{"spec.containers[1]: Kubernetes before 1.29"},
		},
		{
			name: "directories of nodes", text: sound + "  volumes: {data: {path: /tmp}, csi: {path: /, storageClass: a, driver: b, secret: c}}\n",
			want: []string{"warning: spec.volumes[data]: a directory of the nodes, which only a controller with --allow-hostpath-volumes"},
		},
		{name: "a key twice", err: "1 of 1", text: sound + "  size: 3\n", want: []string{"document 1 (sound): error: ", `key "size" already set`}},
		{name: "a wrong type", err: "1 of 1", text: strings.Replace(sound, "size: 2", "size: two", 1), want: []string{"(sound): error: ", "size"}},
		{name: "a misspelled kind", err: "1 of 1", text: strings.Replace(sound, "MiniCluster", "Minicluster", 1), want: []string{`document 1: error: kind: "Minicluster" does not exist: set kind to MiniCluster`}},
		{name: "kind in the plural", err: "1 of 1", text: strings.Replace(sound, "kind: MiniCluster", "kind: miniclusters", 1), want: []string{`kind: "miniclusters" does not exist`}},
		{name: "no kind", err: "1 of 1", text: strings.Replace(sound, "kind: MiniCluster\n", "", 1), want: []string{`kind: "" does not exist: set kind to MiniCluster`}},
		{name: "another kind of the group", text: "apiVersion: flux-framework.org/v1alpha2\nkind: MetricSet\nspec: {a: b}\n"},
		{
			name: "a typed list", err: "1 of 1", want: []string{"document 1, item 1 (a): error: spec.sizee: field does not exist"},
			text: "apiVersion: flux-framework.org/v1alpha2\nkind: MiniClusterList\nitems:\n- metadata: {name: a}\n  spec: {sizee: 3, containers: [{}]}\n",
		},
		{
			name: "a list of kustomize", err: "1 of 1", want: []string{"document 1, item 1 (A): error: metadata.name: "},
			text: "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(strings.Replace(sound, "name: sound", "name: A", 1)), "\n", "\n  "),
		},
		{name: "a template", err: "1 of 1", text: strings.Replace(sound, "size: 2", "size: {{ .Values.size }}", 1), want: []string{"it may be a template: render it first"}},
		{name: "a digit first", err: "1 of 1", text: strings.Replace(sound, "name: sound", "name: 9a", 1), want: []string{"(9a): error: metadata.name: Invalid value: metadata.name must be an RFC 1035 label"}},
		{
			name: "one name twice", text: sound + "---\n" + strings.Replace(sound, "name: sound", "name: sound, namespace: other", 1) + "---\n" + sound,
			want: []string{"document 1 (sound): warning: metadata.name: document 3 (sound) has the same name and replaces this one"},
		},
		{name: "another group", err: "1 of 1", text: strings.Replace(sound, "flux-framework.org", "example.com", 1), want: []string{"apiVersion"}},
		{name: "a future version", err: "1 of 1", text: strings.Replace(sound, "v1alpha2", "v9", 1), want: []string{`version "v9" does not exist`}},
		{name: "no YAML", err: "1 of 1", text: "a: b: c", want: []string{"standard input: document 1: error: "}},
		{name: "no object", text: "[1]"},
		{name: "no MiniCluster", text: "kind: Namespace\n"},
		{name: "nothing"},
		{
			name: "other habits", text: strings.Replace(sound, "command: hostname", "command: hostname, runFlux: true}, {image: b, name: b", 1) +
				"  minSize: 1\n  services: [{image: c, name: c, command: serve}]\n  pod: {securityContext: {runAsUser: 1000}}\n",
			want: []string{
				"flux-operator differs: spec.minSize: ", "flux-operator differs: spec.pod.securityContext: ",
				"flux-operator differs: spec.containers[1].command: ", "flux-operator differs: spec.services[0].command: ",
			},
		},
		{name: "without notes", args: []string{"--notes=false"}, text: sound + "  minSize: 1\n"},
		{
			name: "warnings as errors", args: []string{"--warnings-as-errors"}, err: "there are warnings",
			text: sound + "  fluxRestful: {port: 5000}\n", want: []string{"without effect: spec.fluxRestful: "},
		},
		{
			name: "permitted volumes", args: []string{"--allow-hostpath-volumes", "--persistent-volumes=b"},
			text: sound + "  volumes: {data: {path: /tmp}, csi: {path: /, storageClass: a, driver: b, secret: c}}\n",
		},
		{name: "no version of Kubernetes", text: sound, args: []string{"--kubernetes-version=latest"}, err: "--kubernetes-version"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, _, err := command(t, tc.text, append([]string{"lint", "-f", "-"}, tc.args...)...)
			if tc.err == "" {
				require.NoError(t, err, out)
			} else {
				require.ErrorContains(t, err, tc.err)
			}
			if tc.want == nil {
				assert.Empty(t, out)
			}
			rest := out
			for _, part := range tc.want {
				_, after, found := strings.Cut(rest, part)
				require.True(t, found, "%q is missing or out of order in\n%s", part, out)
				rest = after
			}
		})
	}
}

// TestLintDuplicateKeys tries keys that a document has twice, and documents that only look like that.
func TestLintDuplicateKeys(t *testing.T) {
	const head = `{"apiVersion": "flux-framework.org/v1alpha2", "kind": "MiniCluster", "metadata": {"name": "`
	object := func(name, spec string) string {
		return head + name + `"}, "spec": {` + spec + `, "containers": [{"image": "ubuntu", "command": "hostname"}]}}`
	}
	container := func(text string) string {
		return strings.Replace(sound, "[{image: a, command: hostname}]", "\n  - "+text, 1)
	}
	require.NotEqual(t, sound, container(""))
	for name, tc := range map[string]struct {
		text string
		want []string // in the output; nil: the text is valid
	}{
		"in an element of a list": {container("{image: ubuntu, command: a, command: b}"), []string{`key "command" already set in line`}},
		"in the environment": {
			container("{image: ubuntu, command: a, environment: {OMP_NUM_THREADS: \"1\", OMP_NUM_THREADS: \"4\"}}"), []string{`key "OMP_NUM_THREADS"`},
		},
		"in resources": {container("{image: ubuntu, command: a, resources: {limits: {cpu: 1, cpu: 2}}}"), []string{`key "cpu" already set`}},
		"the object":   {sound + "kind: MiniCluster\nspec: {containers: [{image: a, command: b}]}\n", []string{`key "kind" already set`, `key "spec" already set in line`}},
		"a number and a text": {
			container("{image: ubuntu, command: a, environment: {1: a, \"1\": b}}"), []string{`key "1" already set`},
		},
		"JSON":             {object("a", `"size": 2, "size": 3`), []string{`document 1 (a): error: line 1: key "size" already set`}},
		"JSON with tabs":   {strings.ReplaceAll(object("a", `"size": 2, "size": 3`), ", ", ",\n\t"), []string{`line 5: key "size" already set in line 4`}},
		"a stream of JSON": {object("a", `"size": 2`) + "\n" + object("b", `"size": 2, "size": 3`), []string{`document 2 (b): error: line 2: key "size"`}},
		"an item of a list": {
			`{"kind": "List", "apiVersion": "v1", "items": [` + object("a", `"size": 2`) + "," + object("b", `"size": 2, "size": 3`) + "]}",
			[]string{`item 2 (b): error: line 1: key "size"`},
		},
		"the second of several documents": {
			strings.Replace(sound, "name: sound", "name: first", 1) + "---\nkind: ConfigMap\ndata: {a: b, a: c}\n---\n" + sound + "  size: 4\n",
			[]string{"document 3 (sound): error: "},
		},
		"two merges":              {container("{<<: {image: a, command: b}, <<: {image: c}}"), []string{`key "<<" already set`}},
		"a key that JSON escapes": {object("a", `"size": 2, "siz\u0065": 3`), []string{`key "size" already set`}},
		"an item of an item": {
			`{"kind": "List", "apiVersion": "v1", "items": [{"kind": "List", "apiVersion": "v1", "items": [` + object("b", `"size": 2, "size": 3`) + "]}]}",
			[]string{`item 1, item 1 (b): error: line 1: key "size"`},
		},
		"keys of a merge are replaced": {text: container("&base {image: ubuntu, command: a, name: sound, runFlux: true, resources: &r {limits: {cpu: 1}}}") +
			"  - {<<: *base, name: side, runFlux: false, resources: *r}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := command(t, tc.text, "lint", "--notes=false", "-f", "-")
			if tc.want == nil {
				require.NoError(t, err, out)
				assert.Empty(t, out)
				return
			}
			require.ErrorContains(t, err, "1 of ", out)
			assert.Len(t, strings.Split(strings.TrimSpace(out), "\n"), len(tc.want), out)
			for _, want := range tc.want {
				assert.Contains(t, out, want)
			}
		})
	}
}

func TestLintFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	file := write("mc.yaml", strings.Replace(sound, "size: 2", "size: -2", 1))
	template := write("template.yml", "{{ if .Values.x }}\na: b\n{{ end }}\n")
	write("other.json", `{"kind": "Namespace"}`)
	write("notes.txt", sound)
	deep := write("deeper/mc.json", `{"apiVersion": "flux-framework.org/v1alpha2", "kind": "MiniCluster", "metadata": {"name": "deep"}, "spec": {}}`)
	none := filepath.Join(dir, "none.yaml")

	out, _, err := command(t, sound, "lint", "-f", none, "-f", "-", file)
	require.EqualError(t, err, "2 of 3 documents are not valid")
	assert.Contains(t, out, none+": error: no such file or directory\n")
	assert.Contains(t, out, file+": document 1 (sound): error: spec.size: ")
	out, _, err = command(t, "", "lint", dir)
	require.EqualError(t, err, "1 of 1 documents are not valid")
	assert.NotContains(t, out, deep)
	out, _, err = command(t, "", "lint", "-R", "-f", dir)
	require.EqualError(t, err, "2 of 2 documents are not valid")
	assert.Contains(t, out, deep+": document 1 (deep): error: spec.containers: Required value\n")
	out, _, err = command(t, "", "lint", template)
	require.EqualError(t, err, "1 of 1 documents are not valid", "a file that is named has to be YAML")
	assert.Contains(t, out, template+": document 1: error: ")
	_, note, err := command(t, "", "lint", filepath.Join(dir, "other.json"))
	require.NoError(t, err)
	assert.Equal(t, "no MiniCluster found\n", note)

	out, problems, err := command(t, sound, "render", "-f", none, "-f", "-")
	require.ErrorContains(t, err, none+": not valid")
	assert.Contains(t, problems, none+": error: no such file or directory\n")
	assert.Contains(t, out, "kind: Job\n")
	_, _, err = command(t, "kind: Namespace\n", "render", "-")
	require.EqualError(t, err, "the files contain no MiniCluster")
	_, _, err = command(t, "", "lint")
	require.EqualError(t, err, "name a file or a folder, or - for the standard input")
}

// TestLintTypes checks that lint treats null and wrong types as the API server does, and proposes a remedy.
func TestLintTypes(t *testing.T) {
	for name, tc := range map[string]struct{ spec, want string }{
		"null in a map":         {spec: "containers: [{volumes: {a: null}, environment: {A: null}}], pod: {nodeAffinity: {a: null}}, volumes: {b: null}"},
		"null fields":           {spec: "size: null, flux: {container: null}, containers: [{command: null, resources: null}]"},
		"whole numbers":         {spec: "size: 2.0, containers: [{resources: {limits: {cpu: 2, memory: 1Gi}}}]"},
		"null in a list":        {"containers: [null]", `spec.containers[0]: Invalid value: "null": spec.containers[0] in body must be of type object: "null"`},
		"null in a deeper list": {"containers: [{securityContext: {capabilities: {add: [null]}}}]", `spec.containers[0].securityContext.capabilities.add[0]: Invalid value: "null": `},
		"a number as text":      {"containers: [{}, {environment: {B: x, A: 1}}]", `spec.containers[1].environment.A in body must be of type string: "integer": put it in quotes`},
		"a boolean as text":     {"containers: [{environment: {A: yes}}]", `spec.containers[0].environment.A in body must be of type string: "boolean": put it in quotes`},
		"text as a number":      {"size: '2', containers: [{}]", `spec.size in body must be of type integer: "string": write it without quotes`},
		"text as a boolean":     {"interactive: 'true', containers: [{}]", `spec.interactive in body must be of type boolean: "string": write it without quotes`},
		"a fraction":            {"size: 2.5, containers: [{}]", `spec.size: Invalid value: "float64": `},
		"a large number":        {"size: 2147483648, containers: [{}]", "spec.size: Invalid value: spec.size must be at most 100000"},
		"a fraction of a CPU":   {"containers: [{resources: {limits: {cpu: 0.5}}}]", `spec.containers[0].resources.limits.cpu in body must be of type integer,string: "number": put it in quotes`},
		"an object as a list":   {"containers: {image: a}", `spec.containers: Invalid value: "object": `},
		"a list as an object":   {"containers: [{environment: [{name: A}]}]", `spec.containers[0].environment: Invalid value: "array": `},
		"a list as text":        {"containers: [{command: [hostname]}]", `spec.containers[0].command: Invalid value: "array": `},
		"a list as metadata":    {"containers: [{}]}\nmetadata: {labels: [a]", "json: cannot unmarshal array"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "apiVersion: flux-framework.org/v1alpha2\nkind: MiniCluster\nmetadata: {name: a, creationTimestamp: null}\nspec: {" + tc.spec + "}\n"
			out, _, err := command(t, text, "lint", "-f", "-")
			if tc.want == "" {
				require.NoError(t, err, out)
				return
			}
			require.Error(t, err)
			assert.Contains(t, out, tc.want)
			assert.NotContains(t, out, "<nil>")
		})
	}
}

// TestExplainUnknown checks fields that have a successor with another name.
func TestExplainUnknown(t *testing.T) {
	for path, want := range map[string]string{
		"spec.test":                                 ": use spec.logging.quiet",
		"spec.volumes.data.class":                   ": use storageClass",
		"spec.flux.volumes":                         ": use volumes of the container that runs Flux",
		"spec.containers[0].commands.postBroker":    ": use commands.post, which runs in every pod",
		"spec.pod.disableSoleTenancy":               ": use spec.network.disableAffinity",
		"spec.containers[0].fluxOptionFlags":        "; did you mean spec.flux.optionFlags?",
		"spec.containers[0].volumes.data.something": "",
	} {
		assert.Equal(t, path+": field does not exist"+want, explainUnknown(path))
	}
}

// TestSimilarField checks names from old documents, and typing errors.
func TestSimilarField(t *testing.T) {
	for path, want := range map[string]string{
		"spec.containers[1].workdir":       "spec.containers[1].workingDir",
		"spec.containers[0].postStartExec": "spec.containers[].lifeCycle.postStartExec",
		"spec.Size":                        "spec.size",
		"spec.flux.loglevel":               "spec.flux.logLevel",
		"spec.test":                        "",
		"spek":                             "spec",
	} {
		assert.Equal(t, want, similarField(path), path)
	}
}
