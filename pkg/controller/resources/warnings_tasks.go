package resources

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// jobRequest is what the job of a program requests from Flux. Numbers of 0 are not set.
type jobRequest struct {
	nodes, tasks, coresPerTask, gpusPerTask int64
	// perResource is an option that Flux does not accept together with a number of tasks.
	perResource string
	// perNumber is its value.
	perNumber int64
	// from is the field with the option that differs from the defaults: optionFlags or submitCommand.
	from string
	// unknown: an option has a value that only the pod knows.
	unknown bool
}

// warnTasks compares the job of the program with the nodes, cores and GPUs of all pods, where the spec states both.
func warnTasks(mc *v1alpha2.MiniCluster, f Fixed, c *v1alpha2.MiniClusterContainer, add warn) {
	mode := fluxconfig.Mode(mc)
	if mode != plan.ModeSubmit && mode != plan.ModeBatch {
		return
	}
	size := int64(max(mc.RequestedSize(), mc.MinimumSize()))
	job := requestOf(mc, mode, size)
	if job.unknown {
		return
	}
	path := field.NewPath("spec", "tasks")
	if job.from != "" {
		path = field.NewPath("spec", "flux", job.from)
	}
	if job.perResource != "" {
		if job.tasks > 0 && mode == plan.ModeSubmit {
			add(path, "flux rejects %s together with a number of tasks, which spec.tasks sets: set spec.tasks to 0", job.perResource)
			return
		}
		warnPerResource(&job, fluxconfig.HostResources(mc, c), max(size, int64(f.Maximum)), path, add)
		return
	}
	maximum := max(size, int64(f.Maximum))
	switch {
	case job.nodes > maximum:
		add(path, "the job needs %d nodes, and the cluster has at most %d pods: flux rejects the job", job.nodes, maximum)
	case job.nodes > size:
		add(path, "the job needs %d nodes, and %d pods are created: the job waits until the cluster grows", job.nodes, size)
	default:
		warnHosts(&job, fluxconfig.HostResources(mc, c), size, maximum, path, add)
	}
}

// warnPerResource compares options that request resources by node, or in total, with those of the pods.
func warnPerResource(job *jobRequest, host plan.Resources, pods int64, path *field.Path, add warn) {
	switch cores, gpus := int64(host.Cores), int64(host.GPUs); {
	case host.Cores == 0:
	case job.perResource == "--gpus-per-node" && job.perNumber > gpus:
		add(path, "the job needs %d GPUs of each node, and Flux knows %d: the job never starts", job.perNumber, gpus)
	case job.perResource == "--cores" && job.perNumber > pods*cores:
		add(path, "the job needs %d cores, and %d pods of %d cores have fewer: the job never starts", job.perNumber, pods, cores)
	}
}

// warnHosts compares a job with the cores and GPUs of the pods.
func warnHosts(job *jobRequest, host plan.Resources, size, maximum int64, path *field.Path, add warn) {
	if host.Cores == 0 {
		return
	}
	if job.gpusPerTask > 0 && host.GPUs == 0 {
		// Without cores in the spec, Flux would detect GPUs.
		add(path, "the tasks need GPUs, and Flux knows none: set the limit of a GPU, for example nvidia.com/gpu")
		return
	}
	cores, gpus := int64(host.Cores), int64(host.GPUs)
	pods := size
	if job.nodes == 0 {
		pods = maximum // any pods
	}
	if fits(job, cores, job.coresPerTask, pods) && fits(job, gpus, job.gpusPerTask, pods) {
		return
	}
	what, each, needed := "cores", cores, job.coresPerTask
	if fits(job, cores, job.coresPerTask, pods) {
		what, each, needed = "GPUs", gpus, job.gpusPerTask
	}
	if job.nodes > 0 {
		pods = job.nodes
	}
	if needed > 1 {
		add(path, "%d tasks of %d %s need more %s than %d pods of %d %s have: the job never starts", job.tasks, needed, what, what, pods, each, what)
		return
	}
	add(path, "%d tasks need more %s than %d pods of %d %s have: the job never starts", job.tasks, what, pods, each, what)
}

// fits reports whether the pods have the units of one resource that the tasks of a job need. A task has its units on
// one pod. With a number of nodes, Flux places as many tasks on each of them.
func fits(job *jobRequest, units, perTask, pods int64) bool {
	if perTask == 0 || job.tasks == 0 {
		return true
	}
	perPod := units / perTask
	if job.nodes > 0 {
		return (job.tasks+job.nodes-1)/job.nodes <= perPod
	}
	return job.tasks <= pods*perPod
}

// requestOf returns the request of the options with which the agent submits the program: the last one counts.
func requestOf(mc *v1alpha2.MiniCluster, mode plan.Mode, size int64) jobRequest {
	job := jobRequest{tasks: 1, coresPerTask: 1}
	if mc.Spec.Tasks != nil {
		job.tasks = int64(*mc.Spec.Tasks)
	}
	tasks := job.tasks
	if flux := mc.Spec.Flux; flux != nil && mode == plan.ModeSubmit {
		job.read(flux.SubmitCommand, "submitCommand")
	}
	if tasks > 0 {
		job.tasks = tasks
	}
	if tasks == 0 || tasks >= size {
		job.nodes = size
	}
	if flux := mc.Spec.Flux; flux != nil {
		job.read(flux.OptionFlags, "optionFlags")
	}
	return job
}

// optionNames are the options of flux submit, and of flux batch, that request tasks and resources.
var optionNames = map[string]string{
	"-N": "nodes", "--nodes": "nodes", "-n": "tasks", "--ntasks": "tasks", "--nslots": "tasks",
	"-c": "cores", "--cores-per-task": "cores", "--cores-per-slot": "cores",
	"-g": "gpus", "--gpus-per-task": "gpus", "--gpus-per-slot": "gpus",
	"--tasks-per-node": "other", "--tasks-per-core": "other", "--gpus-per-node": "other", "--cores": "other",
}

// read reads options that request tasks and resources.
func (j *jobRequest) read(text, from string) {
	words := readShell(text).words
	for i := 0; i < len(words); i++ {
		name, value, found := strings.Cut(words[i], "=")
		if len(name) > 2 && name[0] == '-' && name[1] != '-' && !found {
			name, value, found = name[:2], name[2:], true // -N2
		}
		kind := optionNames[name]
		if kind == "" {
			if slices.Contains([]string{"-o", "--setopt", "-S", "--setattr", "--env", "-t", "-q", "-B"}, words[i]) {
				i++ // its value
			}
			continue
		}
		if !found && i+1 < len(words) {
			i++
			value = words[i]
		}
		number, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			j.unknown = true // a range or a variable
			return
		}
		j.from = from
		switch kind {
		case "nodes":
			j.nodes = number
		case "tasks":
			j.tasks = number
		case "cores":
			j.coresPerTask = number
		case "gpus":
			j.gpusPerTask = number
		default:
			j.perResource, j.perNumber = name, number
		}
	}
}
