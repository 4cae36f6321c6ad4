package page_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/browser"
)

// contrast computes the contrast of WCAG for all texts of the page with their background, and returns the worst ones.
const contrast = `
const light = (c) => {
  const [r, g, b] = c.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/rgba\(.*, 0\)|transparent/.test(c)) return c;
  }
  return 'rgb(255, 255, 255)';
};
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let n = walker.nextNode(); n; n = walker.nextNode()) {
  const e = n.parentElement;
  if (!n.data.trim() || ['STYLE', 'SCRIPT', 'NOSCRIPT', 'OPTION'].includes(e.nodeName)) continue;
  const svg = e instanceof SVGElement;
  const [a, b] = [light(svg ? getComputedStyle(e).fill : getComputedStyle(e).color), light(behind(svg ? e.closest('figure') : e))];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) bad.push(n.data.trim() + ': ' + ratio.toFixed(2));
}
return bad;`

// focused describes the focused element, and whether its focus is visible.
const focused = `
const e = document.activeElement;
const name = e.getAttribute('aria-labelledby') ? document.getElementById(e.getAttribute('aria-labelledby')).textContent : e.textContent;
const text = e.nodeName === 'SELECT' || e.nodeName === 'INPUT' ? e.name : name.trim().replace(/\s+/g, ' ').slice(0, 40);
return [e.nodeName + ' ' + text, getComputedStyle(e).outlineStyle];`

// TestBrowser opens the page in a real browser, through kubectl proxy, as docs/page.md describes.
func TestBrowser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := browser.New(t)
	f.ready("seen", 1, func(mc *v1alpha2.MiniCluster) { mc.Spec.MaxSize = 6 })
	name := f.Namespace + "/seen"
	agents.say(name, 5, 1, 4)
	at := root + "namespaces/" + f.Namespace + "/miniclusters"
	viewer := f.token("viewer", f.in(f.Namespace, "view"))
	f.page(f.Cluster.Config(), "", at, `data-metric="size_demanded">5<`)
	address, hangUp := f.proxy(viewer)

	b.Size(1280, 1000)
	b.Open(address + at)
	f.say(b, "#live", "Live")
	var marked, secure bool
	b.Eval(&marked, "return window.untouched = true")
	row := fmt.Sprintf(`tr[id="row/%s"] `, name)
	// The page replaces the row with each update, and a value may be missing in one of them on a busy machine.
	cell := func(of, want string) {
		t.Helper()
		f.Eventually(of, func(context.Context) (string, error) {
			if got := b.Text(row + of); got != want {
				return fmt.Sprintf("%q, want %q", got, want), nil
			}
			return "", nil
		})
	}
	cell(`[data-of=size]`, "1")
	cell(`[data-metric=size_demanded]`, "5")
	cell(`.state`, "Ready")

	// An injected script does not run, however it got into the page.
	b.Eval(&secure, `
		let ran = false;
		window.tripped = () => { ran = true; };
		const s = document.createElement('script');
		let refused = 0;
		try { s.text = 'tripped()'; } catch (e) { refused++; }
		try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="tripped()">'); } catch (e) { refused++; }
		document.body.append(s);
		s.remove();
		return refused === 2 && !ran;`)
	assert.True(t, secure, "the policy keeps scripts out")
	b.Complaints() // about the rejected script

	// With the keyboard only, in the order of the page.
	var stops []string
	for len(stops) < 60 && (len(stops) == 0 || stops[len(stops)-1] != "A seen") {
		b.Press(browser.Tab)
		var got [2]string
		b.Eval(&got, focused)
		stops = append(stops, got[0])
		assert.NotEqual(t, "none", got[1], "%s: the focus can be seen", got[0])
	}
	order := strings.Join(stops, "\n")
	t.Log(order)
	for _, want := range []string{"A Skip to content", "BUTTON Pause", "A 1 Ready", "A 5 min", "SUMMARY Values of CPU over time", "INPUT search", "BUTTON Filter", "DIV MiniClusters", "A Name", "A demanded", "A seen"} {
		at := strings.Index(order, want)
		require.GreaterOrEqual(t, at, 0, "%s is not reached after the others", want)
		order = order[at:]
	}
	b.Eval(nil, "document.querySelector('#capacity summary').focus()")
	b.Press(browser.Enter)

	// Changes arrive automatically; open parts and the focus do not change.
	f.SetSize("seen", 3)
	f.say(b, row+`[data-of=size]`, "3")
	f.say(b, row+`[data-of=ready]`, "3")
	f.say(b, "#changes tbody tr", "Requested size changed from 1 to 3")
	var kept []bool
	b.Eval(&kept, `return [window.untouched === true, document.querySelector('#capacity details').open, document.activeElement === document.querySelector('#capacity summary')]`)
	assert.Equal(t, []bool{true, true, true}, kept, "the same page, the table is open, the focus is where it was")

	b.Eval(nil, "document.getElementById('pause').click()")
	f.say(b, "#live", "Paused")
	b.Eval(nil, "document.getElementById('pause').click()")
	f.say(b, "#live", "Live")

	// The chart of one MiniCluster, selected by its name, and back.
	b.Eval(nil, fmt.Sprintf(`document.querySelector('tr[id="row/%s"] a').click()`, name))
	f.say(b, "#sizes figure h3", name)
	assert.Contains(t, b.Text("#sizes"), "Show the first MiniClusters")

	// Light and dark with sufficient contrast, and a narrow window.
	var brightness []float64
	for _, scheme := range []string{"light", "dark"} {
		b.Prefer("prefers-color-scheme", scheme)
		var bad []string
		b.Eval(&bad, contrast)
		assert.Empty(t, bad, "contrast in %s colours", scheme)
		brightness = append(brightness, f.brightness(b.Picture()))
	}
	assert.Greater(t, brightness[0], .8, "light")
	assert.Less(t, brightness[1], .3, "dark")
	b.Size(360, 800)
	var wide bool
	b.Eval(&wide, "return document.documentElement.scrollWidth > document.documentElement.clientWidth")
	assert.False(t, wide, "only tables scroll sideways")
	assert.Empty(t, b.Complaints(), "the console is quiet")

	// Without scripts, the page shows the same.
	b.Command("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	b.Open(address + at)
	cell(`[data-of=size]`, "3")
	f.say(b, "header", "The page reloads every 15 seconds.")

	// Without a server, the page says that it is not updated.
	b.Command("Emulation.setScriptExecutionDisabled", map[string]any{"value": false})
	b.Open(address + at)
	f.say(b, "#live", "Live")
	hangUp()
	f.say(b, "#live", "Not updated since the time above: no response from the server")
}

// say waits until an element has a text.
func (f *fixture) say(b *browser.Browser, selector, want string) {
	f.Helper()
	f.Eventually(selector, func(context.Context) (string, error) {
		if got := b.Text(selector); !strings.Contains(got, want) {
			return fmt.Sprintf("%q, want %q", got, want), nil
		}
		return "", nil
	})
}

// brightness returns the brightness of a picture, from 0 to 1.
func (f *fixture) brightness(picture []byte) float64 {
	f.Helper()
	decoded, err := png.Decode(bytes.NewReader(picture))
	require.NoError(f, err)
	var sum, n float64
	for y := decoded.Bounds().Min.Y; y < decoded.Bounds().Max.Y; y += 4 {
		for x := decoded.Bounds().Min.X; x < decoded.Bounds().Max.X; x += 4 {
			r, g, b, _ := decoded.At(x, y).RGBA()
			sum, n = sum+float64(r+g+b)/(3*0xffff), n+1
		}
	}
	return sum / n
}
