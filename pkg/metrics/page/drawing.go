package page

import (
	"bytes"
	"crypto/sha256"
	"sync"
)

// audience is all that decides what somebody sees: those who have the same one see the same.
type audience struct {
	namespace, seen  string
	capacity, upward bool
	unasked          int
	query            query
}

// part is a piece of the page that has an ID, as it is sent.
type part struct {
	id   string
	text []byte
	sum  [sha256.Size]byte
}

// drawing has the parts of the page that change.
type drawing struct {
	once  sync.Once
	parts []part
	// rows are those of the table of MiniClusters, which is one of the parts, and
	// frame is that table without what is in its rows.
	rows  []part
	frame [sha256.Size]byte
	err   error
}

// drawings are those of the present state of a recorder, each drawn once for all who see
// the same.
type drawings struct {
	recorder *Recorder
	template *pageTemplate

	mu      sync.Mutex
	version uint64
	of      map[audience]*drawing
}

// draw returns what somebody sees now.
func (d *drawings) draw(s *scope, q query) *drawing {
	found := d.find(audience{s.namespace, s.seen, s.capacity, s.upward, s.unasked, q})
	found.once.Do(func() { found.draw(d.template, d.recorder.view(*s, q)) })
	return found
}

func (d *drawings) find(whose audience) *drawing {
	version := d.recorder.state()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.version != version || d.of == nil {
		d.version, d.of = version, map[audience]*drawing{}
	}
	found := d.of[whose]
	if found == nil {
		found = &drawing{}
		if len(d.of) < mostStreams { // who comes and goes with ever new questions fills nothing
			d.of[whose] = found
		}
	}
	return found
}

func (d *drawing) draw(template *pageTemplate, v View) {
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

// newPart is a part as server-sent events have it.
func newPart(id string, text []byte) part {
	var framed bytes.Buffer
	for line := range bytes.Lines(text) {
		framed.WriteString("data: ")
		framed.Write(bytes.TrimRight(line, "\r\n"))
		framed.WriteByte('\n')
	}
	return part{id: id, text: framed.Bytes(), sum: sha256.Sum256(text)}
}

// split takes the rows out of the table of MiniClusters. Only the template writes what
// they begin and end with: in what comes from objects, "<" is escaped.
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

// news is an event with the parts that are not what was sent before, of which sent keeps
// track. While a table has the same rows, only those that have changed are sent.
func (d *drawing) news(sent map[string][sha256.Size]byte) []byte {
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
			continue // it was in the table
		}
		if !open { // a row alone would be no HTML
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

// frameID stands for the table of MiniClusters without its rows; no part has this ID.
const frameID = ""
