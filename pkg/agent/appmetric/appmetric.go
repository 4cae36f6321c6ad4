// Package appmetric stores the metrics that the application of a MiniCluster sets, as files in the pod of the lead
// broker. Its agent serves them to autoscalers.
package appmetric

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"minicluster.internal/operator/pkg/agent/atomicfile"
)

// Limits. Programs of users write the files, and every autoscaler reads the values.
const (
	// MaxMetrics is the number of metrics of a MiniCluster.
	MaxMetrics = 16
	// MaxValue is the largest value. Values are not negative.
	MaxValue = 1e9
	// DefaultExpiry and MaxExpiry are how long a value is served.
	DefaultExpiry = 5 * time.Minute
	MaxExpiry     = 24 * time.Hour
	// maxFile limits the size of a file, in bytes.
	maxFile = 256
)

// errNoDirectory is returned in a pod whose agent does not serve metrics of the application: that of a follower.
var errNoDirectory = errors.New("this is not the pod of the lead broker, whose agent serves the metrics: set them in the pod of index 0")

// name is the form of names. It excludes the names of temporary files.
var name = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Value is the value of a metric until it expires.
type Value struct {
	Name string `json:"-"`
	// Value has at most three decimal places.
	Value   float64   `json:"value"`
	Expires time.Time `json:"expires"`
}

// Parse checks the name, the value and the time of a new value.
func Parse(metric, value string, expiry time.Duration, now time.Time) (Value, error) {
	if !name.MatchString(metric) {
		return Value{}, fmt.Errorf("the name %q must consist of lower case letters, digits and _, and start with a letter; 63 characters at most", metric)
	}
	number, err := strconv.ParseFloat(value, 64)
	if err != nil || !(number >= 0 && number <= MaxValue) { // also false for NaN
		return Value{}, fmt.Errorf("the value %q must be a number between 0 and %.0f", value, float64(MaxValue))
	}
	if expiry < time.Second || expiry > MaxExpiry {
		return Value{}, fmt.Errorf("the time %s after which the value expires must be between 1s and %s", expiry, MaxExpiry)
	}
	return Value{Name: metric, Value: math.Round(number*1000) / 1000, Expires: now.Add(expiry).UTC()}, nil
}

// Prepare creates the directory for the user of the broker, -1 for that of the process. Only that user and root can
// set values.
func Prepare(dir string, uid, gid int) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating the directory of metrics: %w", err)
	}
	owner := os.Geteuid()
	if uid >= 0 && uid != owner {
		if err := os.Lchown(dir, uid, gid); err != nil {
			return fmt.Errorf("creating the directory of metrics: %w", err)
		}
		owner = uid
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("creating the directory of metrics: %w", err)
	}
	// All users of the pod can create files beside it.
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(stat.Uid) != owner || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s must be a directory that only the user of the broker can write to", dir)
	}
	return nil
}

// Set stores a value. It returns an error if there are too many.
func Set(dir string, v Value, now time.Time) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return errNoDirectory
	}
	current := Read(dir, now)
	if len(current) >= MaxMetrics && !slices.ContainsFunc(current, func(c Value) bool { return c.Name == v.Name }) {
		return fmt.Errorf("there are %d metrics already", MaxMetrics)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a metric: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(dir, v.Name), text, 0o644, nil); err != nil {
		return fmt.Errorf("setting a metric, which only the user of the broker and root may do: %w", err)
	}
	return nil
}

// Unset removes a value, if there is one.
func Unset(dir, metric string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return errNoDirectory
	}
	if !name.MatchString(metric) {
		return fmt.Errorf("%q is not the name of a metric", metric)
	}
	if err := os.Remove(filepath.Join(dir, metric)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a metric: %w", err)
	}
	return nil
}

// Read returns the values that have not expired, sorted by name; at most MaxMetrics. It ignores all other files.
func Read(dir string, now time.Time) []Value {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil
	}
	var values []Value
	for _, entry := range entries {
		if len(values) == MaxMetrics {
			break
		}
		if info, err := entry.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > maxFile || !name.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		v := Value{Name: entry.Name()}
		if err != nil || json.Unmarshal(text, &v) != nil || !(v.Value >= 0 && v.Value <= MaxValue) {
			continue
		}
		if left := v.Expires.Sub(now); left > 0 && left <= MaxExpiry {
			values = append(values, v)
		}
	}
	return values
}
