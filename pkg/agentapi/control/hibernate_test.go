package control_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
)

func TestHibernate(t *testing.T) {
	data := credentials(t, host, time.Now())
	want := control.HibernateState{
		Phase: control.PhaseSaved, Canceled: []string{"f1"}, Pending: 1000, Held: 3, Demand: 8, Bytes: 1 << 20,
		Location: "/state/archive.tar", Checksum: "00ff",
	}
	ip, port := agent(t, data, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "POST /v1/hibernate", r.Method+" "+r.URL.Path)
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.JSONEq(t, `{"deadline":"2026-11-29T15:00:00Z","discard":true}`, string(body))
		assert.NoError(t, json.NewEncoder(w).Encode(want))
	})
	request := control.Hibernate{Deadline: time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC), Discard: true}
	got, err := client(t, data, host).Hibernate(t.Context(), ip, port, request)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}
