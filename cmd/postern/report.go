package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/server/control"
	"postern/server/report"
)

func reportCommand(t *talk) *cobra.Command {
	c := noun("report", "What others report about mail and TLS of a domain", reportList(t), reportShow(t))
	c.Long = `Other mail servers report once a day how mail in the name of a domain fared with them
(DMARC) and how TLS to it went (SMTP TLS reports), to postern-reports@DOMAIN, when
the domain's records ask for that.`
	return c
}

func reportList(t *talk) *cobra.Command {
	c := &cobra.Command{Use: "list DOMAIN [--since TIME]", Short: "List the reports about a domain, the newest first", Args: exactly("DOMAIN")}
	reportQuery(c, func(q control.ReportQuery) error {
		return list(t, t.client().Reports(c.Context(), q), "There is no report: postern domain records "+q.Domain+" shows the records that ask for them.",
			[]string{"KIND", "REPORTER", "BEGIN", "END", "PASSED", "FAILED", "REPORT ID"}, func(r control.Report) []string {
				return []string{string(r.Kind), r.Reporter, instant(r.Begin), instant(r.End), decimal(r.Passed), decimal(r.Failed), shorten(r.ReportID, 40)}
			})
	})
	return c
}

func reportShow(t *talk) *cobra.Command {
	c := &cobra.Command{Use: "show DOMAIN [--since TIME]", Short: "Sum up by source what was reported about a domain", Args: exactly("DOMAIN")}
	reportQuery(c, func(q control.ReportQuery) error {
		s, err := t.client().ReportSummary(c.Context(), q)
		if err != nil {
			return err
		}
		return t.reports(s)
	})
	return c
}

// reportQuery gives a command the flag of both, and what it does with the query.
func reportQuery(c *cobra.Command, run func(control.ReportQuery) error) {
	var since string
	c.Flags().StringVar(&since, "since", "", "from this time on, as 2026-01-02, or 30d for 30 days ago (14 days ago)")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		q := control.ReportQuery{Domain: args[0]}
		if since != "" {
			if q.Since, err = parseTime(since, time.Now()); err != nil {
				return misused(cmd, err)
			}
		}
		return run(q)
	}
}

// nextStep says in a line whether the policy may be made stricter.
func nextStep(l *report.Rung) string {
	switch {
	case l.Next == "":
		return "none: " + l.Why
	case l.Ready:
		return "p=" + l.Next + ": " + l.Why
	}
	return "p=" + l.Next + ", not yet: " + l.Why
}

// reports writes on one page what the reports about a domain come to.
func (t *talk) reports(s control.ReportSummary) error {
	pairs := []pair{{"domain", s.Domain}, {"since", instant(s.Since)}, {"reports", decimal(int64(s.Reports))},
		{"messages", decimal(s.Messages)}, {"passed", decimal(s.Passed)}, {"failed", decimal(s.Messages - s.Passed)}}
	if l := s.Ladder; l != nil {
		pairs = append(pairs, pair{"policy", "p=" + l.Current}, pair{"next step", nextStep(l)})
	}
	err := t.show(s, pairs...)
	if err != nil || t.format != asTable {
		return err
	}
	fmt.Fprintln(t.out)
	err = list(t, given(s.Sources), "mail: nothing was reported", []string{"SOURCE", "MESSAGES", "PASSED", "SPF", "DKIM", "QUARANTINED", "REJECTED", "SIGNED BY", "RETURN PATH"},
		func(r report.Source) []string {
			source := "-"
			if r.Source.IsValid() {
				source = r.Source.String()
			}
			return []string{source, decimal(r.Messages), decimal(r.Passed), decimal(r.SPF), decimal(r.DKIM), decimal(r.Quarantined), decimal(r.Rejected),
				orDash(strings.Join(r.Signers, ",")), orDash(strings.Join(r.Envelopes, ","))}
		})
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	return list(t, given(s.TLS), "TLS: nothing was reported", []string{"TLS POLICY", "RESULT", "HOST", "SESSIONS", "LAST"}, func(r report.TLSOutcome) []string {
		result := "success"
		if r.Failure != "" {
			result = r.Failure
		}
		return []string{orDash(r.Policy), result, orDash(r.Host), decimal(r.Sessions), instant(r.Last)}
	})
}
