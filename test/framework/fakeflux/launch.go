package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/flux/fluxtest"
)

// groupOf returns the group of a user of the image, with which Flux starts the jobs of that user; the number of the
// user where it is unknown.
func groupOf(uid uint32) uint32 {
	known, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		return uid
	}
	gid, err := strconv.ParseUint(known.Gid, 10, 32)
	if err != nil {
		return uid
	}
	return uint32(gid)
}

// launch starts the tasks of a job, all of them on the host of the lead. It must be called within Wait.
func (b *broker) launch(j *job) {
	tasks := j.Tasks
	var nested []string
	if j.Spec.Nested { // one broker for all its nodes
		tasks = 1
		nested = b.nested(j)
	}
	var all sync.WaitGroup
	var failedToStart error
	codes := make([]int, tasks)
	files := newFiles(j)
	for rank := range tasks {
		c, err := b.task(j)
		if err != nil {
			failedToStart = err
			codes[rank] = 127
			continue
		}
		c.Dir = j.Spec.Cwd
		c.Env = append(b.environment(j.Spec.Env),
			"FLUX_JOB_ID="+j.ID.String(), "FLUX_JOB_SIZE="+strconv.Itoa(tasks), "FLUX_JOB_NNODES="+strconv.Itoa(j.Nodes),
			"FLUX_TASK_RANK="+strconv.Itoa(rank), "FLUX_TASK_LOCAL_ID="+strconv.Itoa(rank))
		c.Env = append(c.Env, nested...)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		if os.Getuid() == 0 && j.UserID != 0 {
			c.SysProcAttr.Credential = &syscall.Credential{Uid: j.UserID, Gid: groupOf(j.UserID)}
		}
		stdout, err1 := c.StdoutPipe()
		stderr, err2 := c.StderrPipe()
		if err := errors.Join(err1, err2, c.Start()); err != nil {
			failedToStart = err
			codes[rank] = 127
			continue
		}
		j.processes = append(j.processes, c)
		all.Go(func() {
			var pipes sync.WaitGroup
			pipes.Go(func() { b.copyOutput(j, files, rank, "stdout", stdout) })
			pipes.Go(func() { b.copyOutput(j, files, rank, "stderr", stderr) })
			pipes.Wait()
			_ = c.Wait() // the state has the result
			codes[rank] = exitCode(c.ProcessState)
		})
	}
	if j.Spec.Limit > 0 {
		time.AfterFunc(time.Duration(j.Spec.Limit*float64(time.Second)), func() {
			b.Update(func() { b.Except(j.Job, "timeout", "resource allocation expired") })
		})
	}
	go func() {
		all.Wait()
		files.close()
		b.Update(func() {
			if failedToStart != nil {
				j.Exception, j.Note = "exec", failedToStart.Error()
			}
			highest := 0
			for _, code := range codes {
				highest = max(highest, code)
			}
			b.end(j, highest)
		})
	}()
}

// task returns a command that runs the shell of a task.
func (b *broker) task(j *job) (*exec.Cmd, error) {
	path, err := lookPath(j.Spec.Argv[0], j.Spec.Env)
	if err != nil {
		return nil, err
	}
	at := path
	if !filepath.IsAbs(at) {
		at = filepath.Join(j.Spec.Cwd, at)
	}
	if _, err := os.Stat(at); err != nil {
		return nil, err
	}
	shell, err := b.shellProgram()
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(context.Background(), shell, append([]string{path}, j.Spec.Argv...)...), nil
}

// nested passes resources to the instance of a batch job.
func (b *broker) nested(j *job) []string {
	nodes := slices.Clone(j.Alloc.Nodes)
	for i := range nodes {
		nodes[i].Rank = uint32(i)
	}
	text, err := json.Marshal(fluxtest.EncodeR(nodes, b.State.Hostnames(j.Ranks)))
	if err != nil {
		return nil
	}
	return []string{nestedR + "=" + string(text)}
}

// lookPath finds a program in the job's own PATH.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, e := range env {
		path, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for dir := range strings.SplitSeq(path, ":") {
			if found, err := exec.LookPath(dir + "/" + name); err == nil {
				return found, nil
			}
		}
	}
	return exec.LookPath(name)
}

// files opens the files for a job's output, if it is not kept.
type files struct {
	mu   sync.Mutex
	open map[string]*os.File
}

func newFiles(j *job) *files {
	f := &files{open: map[string]*os.File{}}
	for stream, name := range map[string]string{"stdout": j.Spec.Output, "stderr": j.Spec.Error} {
		if name == "" {
			continue
		}
		name = strings.NewReplacer("{{id}}", j.ID.String(), "{{jobid}}", j.ID.String(), "{{name}}", j.Name).Replace(name)
		if !strings.HasPrefix(name, "/") {
			name = j.Spec.Cwd + "/" + name
		}
		if file, err := os.Create(name); err == nil {
			f.open[stream] = file
		}
	}
	if f.open["stderr"] == nil { // follows stdout
		f.open["stderr"] = f.open["stdout"]
	}
	return f
}

func (f *files) write(stream, data string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	file := f.open[stream]
	if file == nil {
		return false
	}
	_, err := file.WriteString(data)
	return err == nil
}

func (f *files) close() {
	for _, file := range f.open {
		if file != nil {
			_ = file.Close() // fails the second time, for stderr
		}
	}
}

// copyOutput copies the output of a task in whole lines.
func (b *broker) copyOutput(j *job, f *files, rank int, stream string, from io.Reader) {
	r := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			if j.Spec.Label {
				line = fmt.Sprintf("%d: %s", rank, line)
			}
			if !f.write(stream, line) {
				b.Update(func() { j.Output = append(j.Output, output{stream, line}) })
			}
		}
		if err != nil {
			return
		}
	}
}
