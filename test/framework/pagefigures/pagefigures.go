// Package pagefigures reads the numbers of the web page.
package pagefigures

import (
	"fmt"
	"strings"

	"golang.org/x/net/html"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Read returns the figures in the tables and beside the charts of a page, by object and name: cluster/METRIC, and
// NAMESPACE/NAME/METRIC. It returns an error if the page has two different values of one figure.
func Read(page string) (map[string]float64, error) {
	document, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	r := reader{}
	return r, r.walk(document, "", "")
}

// reader has the figures that were read.
type reader map[string]float64

// walk reads a part of the page, which is about an object, and in which numbers without a metric are of a column.
func (r reader) walk(n *html.Node, about, of string) error {
	switch id := attribute(n, "id"); {
	case id == "capacity":
		about = "cluster"
	case strings.HasPrefix(id, "row/"), strings.HasPrefix(id, "chart/"):
		_, about, _ = strings.Cut(id, "/")
	}
	if name := attribute(n, "data-of"); name != "" {
		of = name
	}
	if n.Data == "data" {
		if err := r.add(n, about, of); err != nil {
			return err
		}
	}
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if err := r.walk(child, about, of); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) add(n *html.Node, about, of string) error {
	name := attribute(n, "data-metric")
	if name == "" {
		name = of
	}
	value, err := resource.ParseQuantity(attribute(n, "value"))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, about, err)
	}
	if name == "" {
		return nil
	}
	number, key := value.AsApproximateFloat64(), about+"/"+name
	if before, twice := r[key]; twice && before != number {
		return fmt.Errorf("the page has two of %s of %s: %v and %v", name, about, before, number)
	}
	r[key] = number
	return nil
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
