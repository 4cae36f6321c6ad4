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

// pageTemplate writes the page.
type pageTemplate struct {
	parsed *template.Template
	// policy is the Content-Security-Policy that lets the page's own style and script work,
	// and nothing else.
	policy string
}

func newTemplate() (*pageTemplate, error) {
	parsed, err := template.New("page").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(pageStyle) }, //nolint:gosec // our own
		"script": func() template.JS { return template.JS(pageScript) },  //nolint:gosec // our own
	}).Parse(pageSource)
	if err != nil {
		return nil, fmt.Errorf("reading the page's template: %w", err)
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

// digest names a script or a style in a policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page writes the whole page.
func (t *pageTemplate) page(w io.Writer, v View) error {
	if err := t.parsed.ExecuteTemplate(w, "page", v); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// parts are the names of the templates of those parts of the page that change.
func parts() []string { return []string{"moment", "capacity", partMiniClusters, "sizes", "changes"} }

// partMiniClusters is the one with the table of MiniClusters.
const partMiniClusters = "miniclusters"

// part writes one of the parts.
func (t *pageTemplate) part(name string, v View) ([]byte, error) {
	var b bytes.Buffer
	if err := t.parsed.ExecuteTemplate(&b, name, v); err != nil {
		return nil, fmt.Errorf("writing part %s of the page: %w", name, err)
	}
	return b.Bytes(), nil
}
