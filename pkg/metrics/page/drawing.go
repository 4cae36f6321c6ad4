package page

import (
	"bytes"
	"crypto/sha256"
	"sync"
)

// audience is everything that determines what a user sees. Users with equal audiences see the same page.
type audience struct {
	namespace, seen string
	capacity, nodes bool
	upward          bool
	unchecked       int
	query           query
}

// part is a part of the page with an ID, as it is sent in a stream.
type part struct {
	id   string
	text []byte
	sum  [sha256.Size]byte
}

// drawing contains the rendered parts of the page that change.
type drawing struct {
	once  sync.Once
	parts []part
	// rows are the rows of the table of MiniClusters, which is one of the parts, and frame is the
	// digest of that table without the content of its rows.
	rows  []part
	frame [sha256.Size]byte
	err   error
}

// drawings caches the drawings of the current state of a recorder. Each audience is rendered once.
type drawings struct {
	recorder *Recorder
	template *pageTemplate

	mu      sync.Mutex
	version uint64
	of      map[audience]*drawing
}

// draw returns what a user sees now.
func (d *drawings) draw(s *scope, q query) *drawing {
	found := d.find(audience{s.namespace, s.seen, s.capacity, s.nodes, s.upward, s.unchecked, q})
	found.once.Do(func() { found.draw(d.template, d.recorder.view(*s, q)) })
	return found
}

func (d *drawings) find(whose audience) *drawing {
	version := d.recorder.currentVersion()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.version != version || d.of == nil {
		d.version, d.of = version, map[audience]*drawing{}
	}
	found := d.of[whose]
	if found == nil {
		found = &drawing{}
		if len(d.of) < maxStreams { // limits the memory that queries can take
			d.of[whose] = found
		}
	}
	return found
}

func (d *drawing) draw(template *pageTemplate, v view) {
	for _, name := range parts() {
		text, err := template.part(name, v)
		if err != nil {
			d.err = err
			return
		}
		if name == partMiniClusters {
			d.frame, d.rows = split(text)
		}
		d.parts = append(d.parts, newPart(name, text))
	}
}

// newPart encodes a part for server-sent events.
func newPart(id string, text []byte) part {
	var framed bytes.Buffer
	for line := range bytes.Lines(text) {
		framed.WriteString("data: ")
		framed.Write(bytes.TrimRight(line, "\r\n"))
		framed.WriteByte('\n')
	}
	return part{id: id, text: framed.Bytes(), sum: sha256.Sum256(text)}
}

// split separates the rows from the table of MiniClusters. Only the template can contain the text at
// which they start and end, because "<" is escaped in text from objects.
func split(table []byte) (frame [sha256.Size]byte, rows []part) {
	begins, ends := []byte(`<tr id="`), []byte("</tr>\n")
	rest := sha256.New()
	for {
		before, row, found := bytes.Cut(table, begins)
		rest.Write(before)
		if !found {
			return [sha256.Size]byte(rest.Sum(nil)), rows
		}
		id, _, _ := bytes.Cut(row, []byte(`"`))
		rest.Write(id)
		row, table, _ = bytes.Cut(row, ends)
		rows = append(rows, newPart(string(id), append(append(append([]byte{}, begins...), row...), ends...)))
	}
}

// update returns an event with the parts that have changed since the last one, and records them in
// sent. As long as the table has the same rows, it contains only the changed rows.
func (d *drawing) update(sent map[string][sha256.Size]byte) []byte {
	var event bytes.Buffer
	same := sent[frameID] == d.frame
	for _, p := range d.parts {
		if sent[p.id] == p.sum || p.id == partMiniClusters && same {
			continue
		}
		event.Write(p.text)
		sent[p.id] = p.sum
	}
	sent[frameID] = d.frame
	open := false
	for _, row := range d.rows {
		if sent[row.id] == row.sum {
			continue
		}
		sent[row.id] = row.sum
		if !same {
			continue // it is contained in the table
		}
		if !open { // a row without a table is invalid HTML
			event.WriteString("data: <table><tbody>\n")
			open = true
		}
		event.Write(row.text)
	}
	if open {
		event.WriteString("data: </tbody></table>\n")
	}
	event.WriteByte('\n')
	return event.Bytes()
}

// frameID represents the table of MiniClusters without its rows. No part has this ID.
const frameID = ""
