package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.gohtml
var pageSource string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// pageTemplate renders the page.
type pageTemplate struct {
	parsed *template.Template
	// policy is the Content-Security-Policy, which allows only the style and the script of the page.
	policy string
}

func newTemplate() (*pageTemplate, error) {
	parsed, err := template.New("page").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(pageStyle) }, //nolint:gosec // our own
		"script": func() template.JS { return template.JS(pageScript) },  //nolint:gosec // our own
	}).Parse(pageSource)
	if err != nil {
		return nil, fmt.Errorf("parsing the template of the page: %w", err)
	}
	return &pageTemplate{parsed: parsed, policy: strings.Join([]string{
		"default-src 'none'",
		"script-src " + digest(pageScript),
		"style-src " + digest(pageStyle),
		"img-src data:",
		"connect-src 'self'",
		"form-action 'self'",
		"base-uri 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types minicluster",
	}, "; ")}, nil
}

// digest returns the hash of a script or a style for the policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page renders the whole page.
func (t *pageTemplate) page(w io.Writer, v view) error {
	if err := t.parsed.ExecuteTemplate(w, "page", &v); err != nil {
		return fmt.Errorf("rendering the page: %w", err)
	}
	return nil
}

// parts returns the names of the templates of the parts that change.
func parts() []string {
	return []string{"moment", "capacity", "nodes", "summary", partMiniClusters, "sizes", "changes"}
}

// partMiniClusters is the part with the table of MiniClusters.
const partMiniClusters = "miniclusters"

// part renders one of the parts.
func (t *pageTemplate) part(name string, v view) ([]byte, error) {
	var b bytes.Buffer
	if err := t.parsed.ExecuteTemplate(&b, name, &v); err != nil {
		return nil, fmt.Errorf("rendering part %s of the page: %w", name, err)
	}
	return b.Bytes(), nil
}
