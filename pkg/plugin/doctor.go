package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// verdict is the result of a check.
type verdict int

const (
	verdictGood verdict = iota
	// verdictUnknown: the check was not possible, for example because the user lacks a right.
	verdictUnknown
	verdictProblem
)

// finding is what a check found.
type finding struct {
	verdict verdict
	check   string
	text    string
}

func good(check, format string, args ...any) finding {
	return finding{verdictGood, check, fmt.Sprintf(format, args...)}
}

func unknown(check string, err error) finding {
	return finding{verdictUnknown, check, fmt.Sprintf("not checked: %v", err)}
}

func problem(check, format string, args ...any) finding {
	return finding{verdictProblem, check, fmt.Sprintf(format, args...)}
}

// errProblems is the error of doctor when it found problems, so that its exit code is not 0.
var errProblems = errors.New("problems were found")

// newDoctorCommand returns the command that looks for the causes of known troubles.
func newDoctorCommand(f *factory) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [NAME]",
		Short: "Find out why a MiniCluster does not work",
		Long: `Check the installation and, with a name, a MiniCluster: its objects, pods, images,
certificate, network policies, quota and autoscalers. It says what it checked, and
what it could not check and why. It also works while the controller is stopped, and
needs no right but to read the namespace.

The exit code is 1 if a problem was found.`,
		Example:           `  kubectl minicluster doctor sample`,
		Args:              needArguments(0, 1),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.session()
			if err != nil {
				return err
			}
			return s.doctor(cmd.Context(), args)
		},
	}
}

func (s *session) doctor(ctx context.Context, names []string) error {
	findings := s.checkInstallation(ctx)
	if len(names) == 0 {
		return printFindings(s.Out, findings)
	}
	mc, err := s.miniCluster(ctx, names[0])
	if err != nil {
		_ = printFindings(s.Out, findings)
		return err
	}
	return printFindings(s.Out, append(findings, s.checkMiniCluster(ctx, mc)...))
}

// checkMiniCluster makes all checks of one MiniCluster.
func (s *session) checkMiniCluster(ctx context.Context, mc *v1alpha2.MiniCluster) []finding {
	findings := checkSpec(mc)
	findings = append(findings, s.checkCertificate(ctx, mc))
	findings = append(findings, s.checkPods(ctx, mc)...)
	return append(findings, s.checkAutoscalers(ctx, mc)...)
}

// printFindings prints what was found. It returns an error if a problem is among it.
func printFindings(out io.Writer, findings []finding) error {
	p := painterFor(out)
	var text strings.Builder
	var err error
	for _, f := range findings {
		mark := p.good("ok     ")
		switch f.verdict {
		case verdictGood:
		case verdictUnknown:
			mark = "unknown"
		case verdictProblem:
			mark = p.problem("PROBLEM")
			err = errProblems
		}
		fmt.Fprintf(&text, "%s  %-12s %s\n", mark, f.check, f.text)
	}
	fmt.Fprint(out, screenOf(out).wrap(text.String()))
	return err
}
