// Package browser controls the installed Chromium, for tests of web pages. It speaks WebDriver, which is JSON over
// HTTP, with chromedriver. It knows nothing of the page under test.
package browser

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/test/framework/cluster/process"
)

// Variable is the environment variable that makes tests fail without a browser, if its value is "required". Otherwise
// they are skipped.
const Variable = "MINICLUSTER_BROWSER"

const (
	// startPatience is how long chromedriver may take to start.
	startPatience = 3 * time.Minute
	// startAttempts is how often it may try to start the browser; each attempt has its own timeout.
	startAttempts = 3
)

// Browser is one window.
type Browser struct {
	t       testing.TB
	session string
}

// New starts a browser that ends with the test. Without a browser, the test ends.
func New(t testing.TB) *Browser {
	t.Helper()
	driver, chromium := need(t, "chromedriver", "chromium-driver"), need(t, "chromium", "chromium")
	// Not the test's own directory: a process of the browser that ends late may write into it during its removal.
	dir, err := os.MkdirTemp("", "browser")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	port, err := process.FreePort(t.Context())
	require.NoError(t, err)
	p, err := process.Start(process.Command{
		Name: "chromedriver", Path: driver, Args: []string{"--port=" + strconv.Itoa(port)}, Log: filepath.Join(dir, "chromedriver.log"),
	})
	require.NoError(t, err)
	b := &Browser{t: t}
	t.Cleanup(func() {
		if b.session != "" {
			_ = call(context.Background(), http.MethodDelete, b.session, nil, nil)
		}
		_ = p.Stop()
	})
	server := fmt.Sprintf("http://127.0.0.1:%d", port)
	err = p.During(t.Context(), func(ctx context.Context) error {
		return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, startPatience, true, func(ctx context.Context) (bool, error) {
			return call(ctx, http.MethodGet, server+"/status", nil, nil) == nil, nil
		})
	})
	require.NoError(t, err, "waiting for chromedriver")
	args := []string{
		"--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + filepath.Join(dir, "profile"),
		// Only loopback addresses, and no proxy.
		"--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox")
	}
	var made struct {
		SessionID string `json:"sessionId"`
	}
	for range startAttempts {
		err = call(t.Context(), http.MethodPost, server+"/session", map[string]any{
			"capabilities": map[string]any{"alwaysMatch": map[string]any{
				"browserName": "chrome", "goog:chromeOptions": map[string]any{"binary": chromium, "args": args},
				"goog:loggingPrefs": map[string]any{"browser": "ALL"},
			}},
		}, &made)
		if err == nil {
			break
		}
	}
	require.NoError(t, err, "starting Chromium")
	b.session = server + "/session/" + made.SessionID
	return b
}

func need(t testing.TB, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	missing := fmt.Sprintf("%s is missing: install package %s", program, pkg)
	if os.Getenv(Variable) == "required" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// call sends a command to chromedriver.
func call(ctx context.Context, method, url string, in, out any) error {
	var body io.Reader = http.NoBody
	if method == http.MethodPost {
		if in == nil {
			in = map[string]any{}
		}
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("writing a request to the browser: %w", err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return fmt.Errorf("making a request to the browser: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("sending a request to the browser: %w", err)
	}
	defer response.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("reading the browser's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the browser returned %s: %s", response.Status, answer.Value)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Value, out); err != nil {
		return fmt.Errorf("reading the browser's answer: %w", err)
	}
	return nil
}

func (b *Browser) do(method, path string, in, out any) {
	b.t.Helper()
	require.NoError(b.t, call(b.t.Context(), method, b.session+path, in, out), path)
}

// Open opens an address and waits until the page is loaded.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.do(http.MethodPost, "/url", map[string]any{"url": url}, nil)
}

// Eval runs the body of a function in the page, with arguments, and decodes its result.
func (b *Browser) Eval(out any, script string, args ...any) {
	b.t.Helper()
	if args == nil {
		args = []any{}
	}
	b.do(http.MethodPost, "/execute/sync", map[string]any{"script": script, "args": args}, out)
}

// Text returns the visible text of the first element that a selector selects; "" if there is none.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	var text string
	b.Eval(&text, "const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector)
	return text
}

// Keys of WebDriver.
const (
	Tab   = "\uE004"
	Enter = "\uE007"
	Space = " "
)

// Press presses keys, one after the other.
func (b *Browser) Press(keys ...string) {
	b.t.Helper()
	var actions []map[string]any
	for _, key := range keys {
		actions = append(actions, map[string]any{"type": "keyDown", "value": key}, map[string]any{"type": "keyUp", "value": key})
	}
	b.do(http.MethodPost, "/actions", map[string]any{
		"actions": []any{map[string]any{"type": "key", "id": "keyboard", "actions": actions}},
	}, nil)
}

// Command sends a command of the DevTools protocol.
func (b *Browser) Command(command string, params map[string]any) {
	b.t.Helper()
	b.do(http.MethodPost, "/goog/cdp/execute", map[string]any{"cmd": command, "params": params}, nil)
}

// Prefer sets a preference of the reader: a media feature of CSS, such as prefers-color-scheme.
func (b *Browser) Prefer(feature, value string) {
	b.t.Helper()
	b.Command("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": feature, "value": value}}})
}

// Size sets the size of the window's contents, in pixels.
func (b *Browser) Size(width, height int) {
	b.t.Helper()
	b.Command("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
}

// Picture returns a screenshot of the window as PNG.
func (b *Browser) Picture() []byte {
	b.t.Helper()
	var encoded string
	b.do(http.MethodGet, "/screenshot", nil, &encoded)
	picture, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(b.t, err)
	return picture
}

// Complaints returns the messages of the console since the last call: errors of scripts, of policies, of the network.
func (b *Browser) Complaints() []string {
	b.t.Helper()
	var entries []struct{ Level, Message string }
	b.do(http.MethodPost, "/se/log", map[string]any{"type": "browser"}, &entries)
	var complaints []string
	for _, e := range entries {
		complaints = append(complaints, e.Level+": "+e.Message)
	}
	return complaints
}
