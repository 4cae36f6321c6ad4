package main

import (
	_ "embed"
	"fmt"
	"os"
)

//go:embed audit-policy.yaml
var auditPolicy []byte

// auditFlags makes the log exact: an entry is written before its request is answered, none is dropped, and no
// rotation hides entries from a reader.
func auditFlags(o options) []string {
	return []string{
		"--audit-policy-file=" + o.path(auditPolicyFile),
		"--audit-log-path=" + o.path(auditLogFile),
		"--audit-log-format=json",
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=1000000",
	}
}

func writeAuditPolicy(o options) error {
	if err := os.WriteFile(o.path(auditPolicyFile), auditPolicy, 0o600); err != nil {
		return fmt.Errorf("writing the audit policy: %w", err)
	}
	return nil
}
