package main

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRequestsAreCounted(t *testing.T) {
	server := httptest.NewServer(handler())
	defer server.Close()
	get := func(path string) string {
		response, err := server.Client().Get(server.URL + path) //nolint:noctx // a test
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}
	assert.Contains(t, get("/metrics"), `http_requests_total{code="200",method="get"} 0`)
	get("/")
	assert.Contains(t, get("/anything"), "This is request 2.")
	get("/healthz")
	assert.Contains(t, get("/metrics"), `http_requests_total{code="200",method="get"} 2`)
}
