package user

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// Until waits until a check returns "". When the context ends, it returns an error with the last text.
func Until(ctx context.Context, interval time.Duration, what string, check func(context.Context) (string, error)) error {
	var last string
	err := wait.PollUntilContextCancel(ctx, interval, true, repeated(check, &last))
	if err != nil {
		return fmt.Errorf("waiting for %s: %w: %s", what, err, last)
	}
	return nil
}

// repeated returns a condition that is met when a check returns "". It stores each text of the check in last, except
// that of a check that the end of the context interrupts.
func repeated(check func(context.Context) (string, error), last *string) wait.ConditionWithContextFunc {
	return func(ctx context.Context) (bool, error) {
		text, err := Try(func() (string, error) { return check(ctx) })
		if err != nil && ctx.Err() != nil && *last != "" {
			return false, nil //nolint:nilerr // the wait ends
		}
		if err != nil {
			text = err.Error()
		}
		*last = text
		return text == "", nil
	}
}

// Try calls a check. A runtime panic of the check is an error: an optional field that is unset for a moment, or a list
// that is empty for a moment, is a state to wait for, and must not end the tests of the whole package.
func Try(check func() (string, error)) (text string, err error) {
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case runtime.Error:
			text, err = "", fmt.Errorf("the check panics: %w\n%s", fault, debug.Stack())
		default:
			panic(fault)
		}
	}()
	return check()
}

// poll waits until a check returns "", and returns its last text.
func poll(ctx context.Context, interval, patience time.Duration, check func(context.Context) (string, error)) (last string) {
	err := wait.PollUntilContextTimeout(ctx, interval, patience, true, repeated(check, &last))
	if err != nil && last == "" {
		return err.Error()
	}
	return last
}

// ListPods returns pods in the order of their indexes, including terminating ones.
func ListPods(ctx context.Context, kube kubernetes.Interface, namespace, selector string) ([]corev1.Pod, error) {
	list, err := kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Pod) int { return IndexOf(a) - IndexOf(b) })
	return list.Items, nil
}

// IndexOf returns the completion index of a pod, -1 if it has none.
func IndexOf(pod corev1.Pod) int {
	index, err := strconv.Atoi(pod.Labels[batchv1.JobCompletionIndexAnnotation])
	if err != nil {
		return -1
	}
	return index
}
