// Package jobrecords writes records of jobs that have ended to a file that outlives the MiniCluster: who used how much
// for how long.
package jobrecords

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/user"
	"slices"
	"strconv"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// Record describes a job that has ended. docs/agent.md lists the fields.
type Record struct {
	Namespace   string     `json:"namespace"`
	MiniCluster string     `json:"minicluster"`
	Job         string     `json:"job"`
	Name        string     `json:"name"`
	Queue       string     `json:"queue,omitempty"`
	UID         uint32     `json:"uid"`
	User        string     `json:"user,omitempty"`
	Nodes       int        `json:"nodes"`
	Cores       int        `json:"cores"`
	Tasks       int        `json:"tasks"`
	Ranks       string     `json:"ranks,omitempty"`
	Submitted   time.Time  `json:"submitted"`
	Started     *time.Time `json:"started,omitempty"`
	Ended       time.Time  `json:"ended"`
	Seconds     float64    `json:"seconds"`
	Result      string     `json:"result"`
	ExitCode    *int       `json:"exitCode,omitempty"`
}

// Append appends the records of the jobs of an instance to a file, except those that it has already: an instance that
// was restored from an archive has the jobs of its predecessors. It returns the number of new records.
func Append(ctx context.Context, client *flux.Client, file, namespace, minicluster string) (int, error) {
	jobs, err := client.EndedJobs(ctx)
	if err != nil {
		return 0, fmt.Errorf("listing jobs: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640) //nolint:gosec // the group may do the accounting
	if err != nil {
		return 0, err
	}
	number, err := appendTo(f, records(jobs, namespace, minicluster))
	return number, errors.Join(err, f.Close())
}

// records returns the records of jobs, in the order of their ends.
func records(jobs []flux.EndedJob, namespace, minicluster string) []Record {
	slices.SortFunc(jobs, func(a, b flux.EndedJob) int { return cmp.Compare(a.Inactive, b.Inactive) })
	names := map[uint32]string{}
	out := make([]Record, 0, len(jobs))
	for i := range jobs {
		job := &jobs[i]
		if _, ok := names[job.UserID]; !ok {
			names[job.UserID] = userName(job.UserID)
		}
		r := Record{
			Namespace: namespace, MiniCluster: minicluster,
			Job: job.ID.String(), Name: job.Name, Queue: job.Queue, UID: job.UserID, User: names[job.UserID],
			Nodes: job.Nodes, Cores: job.Cores, Tasks: job.Tasks, Ranks: job.Ranks.String(),
			Submitted: timeOf(job.Submitted), Ended: timeOf(job.Inactive), Result: job.Result.String(),
		}
		if job.Started > 0 {
			r.Started = new(timeOf(job.Started))
			r.Seconds = math.Round(1000*(job.Inactive-job.Started)) / 1000
		}
		if code, ok := job.ExitCode(); ok {
			r.ExitCode = &code
		}
		out = append(out, r)
	}
	return out
}

// userName returns the name of a user, or "" if the pod does not know it.
func userName(uid uint32) string {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return ""
	}
	return u.Username
}

// timeOf returns a time of Flux, in milliseconds.
func timeOf(seconds float64) time.Time { return time.UnixMilli(int64(seconds * 1000)).UTC() }

// identity identifies a job in a file that several MiniClusters may use.
type identity struct {
	namespace, minicluster, job string
	submitted                   int64
}

func (r *Record) identity() identity {
	return identity{r.Namespace, r.MiniCluster, r.Job, r.Submitted.UnixMilli()}
}

// appendTo appends the records that a file does not have.
func appendTo(f *os.File, all []Record) (int, error) {
	known, complete, err := read(f)
	if err != nil {
		return 0, fmt.Errorf("reading the records: %w", err)
	}
	var text bytes.Buffer
	if !complete {
		text.WriteByte('\n') // ends a line whose writer was killed
	}
	number := 0
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for i := range all {
		if known[all[i].identity()] {
			continue
		}
		if err := encoder.Encode(&all[i]); err != nil {
			return 0, err
		}
		number++
	}
	if number == 0 {
		return 0, nil
	}
	if _, err := f.Write(text.Bytes()); err != nil {
		return 0, err
	}
	return number, f.Sync()
}

// read returns the jobs of a file, and whether its last line is complete. Lines of other programs are ignored.
func read(in io.Reader) (known map[identity]bool, complete bool, err error) {
	known = map[identity]bool{}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var r Record
		if json.Unmarshal(line, &r) == nil {
			known[r.identity()] = true
		}
		if errors.Is(err, io.EOF) {
			return known, len(line) == 0, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}
