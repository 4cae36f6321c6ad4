package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	patchJob = `{"kind":"Event","auditID":"1","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/ns/jobs/mc?fieldManager=x","verb":"patch",` +
		`"user":{"username":"controller","groups":["g"]},"userAgent":"agent/1","objectRef":{"resource":"jobs","namespace":"ns","name":"mc","apiGroup":"batch","apiVersion":"v1"},` +
		`"responseStatus":{"metadata":{},"code":200},"stageTimestamp":"2026-11-23T08:14:54.123456Z"}`
	updateStatus = `{"auditID":"2","stage":"ResponseComplete","verb":"update","user":{"username":"controller"},` +
		`"objectRef":{"resource":"miniclusters","subresource":"status","namespace":"ns","name":"mc"},"responseStatus":{"code":409}}`
	watchStarted  = `{"auditID":"3","stage":"ResponseStarted","verb":"watch","user":{"username":"controller"},"objectRef":{"resource":"jobs"},"responseStatus":{"code":200}}`
	watchComplete = `{"auditID":"3","stage":"ResponseComplete","verb":"watch","user":{"username":"controller"},"objectRef":{"resource":"jobs"},"responseStatus":{"code":200}}`
	readyz        = `{"auditID":"4","stage":"ResponseComplete","requestURI":"/readyz","verb":"get","user":{"username":"kubernetes-admin"},"responseStatus":{"code":200}}`
	impersonated  = `{"auditID":"5","stage":"ResponseComplete","verb":"list","user":{"username":"kubernetes-admin"},"impersonatedUser":{"username":"controller"},` +
		`"objectRef":{"resource":"pods"},"responseStatus":{"code":403}}`
	panicked = `{"auditID":"6","stage":"Panic","verb":"create","user":{"username":"controller"},"objectRef":{"resource":"pods"},"responseStatus":{"code":500}}`
)

func TestCounts(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		user  string
		want  map[string]int
	}{
		{name: "nothing yet", user: "controller", want: map[string]int{}},
		{name: "an object", lines: []string{patchJob, patchJob}, user: "controller", want: map[string]int{"patch jobs": 2}},
		{name: "a subresource", lines: []string{updateStatus}, user: "controller", want: map[string]int{"update miniclusters/status": 1}},
		{name: "no object", lines: []string{readyz}, user: "kubernetes-admin", want: map[string]int{"get /readyz": 1}},
		{name: "a watch counts when it begins", lines: []string{watchStarted}, user: "controller", want: map[string]int{"watch jobs": 1}},
		{name: "only then", lines: []string{watchStarted, patchJob, watchComplete}, user: "controller", want: map[string]int{"watch jobs": 1, "patch jobs": 1}},
		{name: "a watch that began before", lines: []string{watchComplete}, user: "controller", want: map[string]int{"watch jobs": 1}},
		{name: "others", lines: []string{patchJob, readyz}, user: "kwok", want: map[string]int{}},
		{name: "impersonation", lines: []string{impersonated}, user: "controller", want: map[string]int{"list pods": 1}},
		{name: "who impersonates", lines: []string{impersonated}, user: "kubernetes-admin", want: map[string]int{}},
		{name: "a request that broke the server", lines: []string{panicked}, user: "controller", want: map[string]int{"create pods": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), auditLogFile)
			appendLines(t, path, tt.lines...)
			counts, err := newAuditLog(path, 0).Counts(tt.user)
			require.NoError(t, err)
			assert.Equal(t, tt.want, counts)
		})
	}
}

func TestRequestsHaveEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), auditLogFile)
	appendLines(t, path, patchJob)
	requests, err := newAuditLog(path, 0).Requests("controller")
	require.NoError(t, err)
	require.Len(t, requests, 1)
	request := requests[0]
	assert.Equal(t, 54, request.Time.Second())
	request.Time = request.Time.UTC().Truncate(0)
	assert.Equal(t, Request{
		Time:      request.Time,
		User:      "controller",
		UserAgent: "agent/1",
		Verb:      "patch",
		Group:     "batch",
		Resource:  "jobs",
		Namespace: "ns",
		Name:      "mc",
		Path:      "/apis/batch/v1/namespaces/ns/jobs/mc?fieldManager=x",
		Code:      200,
	}, request)
}

func TestAuditLogIsReadAsItGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), auditLogFile)
	log := newAuditLog(path, 0)
	count := func() int {
		counts, err := log.Counts("controller")
		require.NoError(t, err)
		return counts["patch jobs"]
	}
	assert.Zero(t, count(), "the file does not exist yet")
	appendLines(t, path, patchJob)
	assert.Equal(t, 1, count())
	appendText(t, path, patchJob[:40])
	assert.Equal(t, 1, count(), "a partial line is read the next time")
	appendText(t, path, patchJob[40:]+"\n")
	assert.Equal(t, 2, count())
	assert.Equal(t, 2, count(), "nothing is counted twice")
}

func TestAuditLogFromNowOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), auditLogFile)
	appendLines(t, path, patchJob, updateStatus)
	info, err := os.Stat(path)
	require.NoError(t, err)
	log := newAuditLog(path, info.Size())
	appendLines(t, path, patchJob)
	counts, err := log.Counts("controller")
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"patch jobs": 1}, counts)
}

func TestAuditLogFromTheMiddleOfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), auditLogFile)
	appendLines(t, path, updateStatus)
	appendText(t, path, patchJob[:40])
	info, err := os.Stat(path)
	require.NoError(t, err)
	log := newAuditLog(path, info.Size())
	appendText(t, path, patchJob[40:]+"\n")
	appendLines(t, path, updateStatus)
	counts, err := log.Counts("controller")
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"update miniclusters/status": 1}, counts)
}

func TestBrokenAuditLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), auditLogFile)
	appendLines(t, path, "no JSON")
	_, err := newAuditLog(path, 0).Counts("controller")
	require.Error(t, err)
}

func TestClusterWithoutAuditLog(t *testing.T) {
	kube := &Cluster{}
	_, err := kube.RequestCounts("controller")
	require.Error(t, err)
	_, err = kube.Audit()
	require.Error(t, err)
}

func appendLines(t *testing.T, path string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		appendText(t, path, line+"\n")
	}
}

func appendText(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = file.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}
