package messages

import "fmt"

const installLeadPolicy = "ask the administrator to install manifests/lead-placement (Kubernetes 1.36 or later)"

// NoLeadPolicy is the message of a spec.lead that the API server does not apply.
const NoLeadPolicy = "spec.lead: the API server does not have the admission policy that places the lead: " + installLeadPolicy +
	", or remove the field"

// LeadMisplaced is the message of a pod of the lead that was created without spec.lead.
func LeadMisplaced(pod string) string {
	return fmt.Sprintf("spec.lead: pod %s was created without the admission policy that places the lead: %s, "+
		"then hibernate and wake the MiniCluster, or recreate it", pod, installLeadPolicy)
}
