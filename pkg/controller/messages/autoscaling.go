package messages

import "fmt"

// Condition Autoscaling.

// AutoscalerActive says what an autoscaler does. Metric is what spec.autoscaling.metric says. fixedCommand is set if
// the cluster runs one command, which does not use nodes that are added later. Limit is the maximum of the cluster.
func AutoscalerActive(name string, minimum, maximum, limit int32, metric string, fixedCommand bool) string {
	text := fmt.Sprintf("the HorizontalPodAutoscaler %s sets sizes between %d and %d (metric %s)", name, minimum, maximum, metric)
	switch {
	case minimum < maximum:
	case maximum < limit:
		text += "; it cannot change the size: raise spec.autoscaling.maxSize"
	default:
		text += "; it cannot change the size: raise spec.maxSize and, if it is set, spec.autoscaling.maxSize"
	}
	if fixedCommand {
		text += "; the command of the cluster does not use nodes that are added after it has started"
	}
	return text
}

// AutoscalerPending says that an autoscaler has not been processed yet.
func AutoscalerPending(name string) string {
	return fmt.Sprintf("the HorizontalPodAutoscaler %s has not been processed yet", name)
}

// AutoscalerInactive says why an autoscaler does not scale: the reason and the message of its own condition.
func AutoscalerInactive(name, reason, message string) string {
	return fmt.Sprintf("the HorizontalPodAutoscaler %s does not change the size: %s: %s", name, reason, message)
}

// OtherAutoscaler names an autoscaler of a user.
func OtherAutoscaler(name string) string {
	return fmt.Sprintf("the HorizontalPodAutoscaler %s scales this MiniCluster, so the controller creates none: delete it, or remove spec.autoscaling", name)
}
