package control

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/report"
	"postern/storage"
)

// ReportQuery selects the reports of others about a domain.
type ReportQuery struct {
	Domain string    `json:"domain"`
	Since  time.Time `json:"since,omitzero"` // end of a report's period; zero: 14 days ago
}

// Report is one report about a domain of ours.
type Report struct {
	ID           uuid.UUID          `json:"id"`
	Kind         storage.ReportKind `json:"kind"`     // dmarc, tls
	Reporter     string             `json:"reporter"` // domain that provably sent it
	Organization string             `json:"organization,omitempty"`
	ReportID     string             `json:"report_id"`
	Begin        time.Time          `json:"begin_at"`
	End          time.Time          `json:"end_at"`
	Received     time.Time          `json:"received_at"`
	Passed       int64              `json:"passed"` // messages that passed DMARC, or sessions with TLS as asked
	Failed       int64              `json:"failed"`
}

// ReportSummary is what the reports about a domain come to.
type ReportSummary struct {
	Domain   string              `json:"domain"`
	Since    time.Time           `json:"since"`
	Reports  int                 `json:"reports"`
	Messages int64               `json:"messages"`
	Passed   int64               `json:"passed"`
	Sources  []report.Source     `json:"sources"` // of mail in the domain's name, the most messages first
	TLS      []report.TLSOutcome `json:"tls"`     // of connections to the domain
	Ladder   *report.Rung        `json:"ladder,omitempty"`
}

func (s *Server) reportCommands() {
	lines(s, "report.list", s.reportList)
	answer(s, "report.show", s.reportShow)
}

// Reports lists the reports about a domain, the newest first.
func (c *Client) Reports(ctx context.Context, q ReportQuery) iter.Seq2[Report, error] {
	return rows[ReportQuery, Report](ctx, c, "report.list", q)
}

func (s *Server) reportList(ctx context.Context, by caller, q ReportQuery, emit func(Report) error) error {
	_, all, err := s.received(ctx, by, &q)
	if err != nil {
		return err
	}
	aggregates, tls := all.Aggregates, all.TLS
	for _, r := range all.Reports {
		view := Report{ID: r.ID, Kind: r.Kind, Reporter: r.Reporter, ReportID: r.ReportID, Begin: r.Begin, End: r.End, Received: r.Received}
		switch r.Kind {
		case storage.ReportDMARC:
			view.Organization = aggregates[0].Organization
			for _, source := range report.Sources(aggregates[:1]) {
				view.Passed, view.Failed = view.Passed+source.Passed, view.Failed+source.Failed()
			}
			aggregates = aggregates[1:]
		case storage.ReportTLS:
			view.Organization = tls[0].Organization
			for _, p := range tls[0].Policies {
				view.Passed, view.Failed = view.Passed+p.Summary.Successes, view.Failed+p.Summary.Failures
			}
			tls = tls[1:]
		}
		if err := emit(view); err != nil {
			return err
		}
	}
	return nil
}

// ReportSummary sums up the reports about a domain.
func (c *Client) ReportSummary(ctx context.Context, q ReportQuery) (ReportSummary, error) {
	return ask[ReportQuery, ReportSummary](ctx, c, "report.show", q)
}

func (s *Server) reportShow(ctx context.Context, by caller, q ReportQuery) (ReportSummary, error) {
	d, all, err := s.received(ctx, by, &q)
	if err != nil {
		return ReportSummary{}, err
	}
	view := ReportSummary{Domain: d.Name, Since: q.Since, Reports: len(all.Reports), Sources: report.Sources(all.Aggregates), TLS: report.TLSOutcomes(all.TLS)}
	for _, source := range view.Sources {
		view.Messages, view.Passed = view.Messages+source.Messages, view.Passed+source.Passed
	}
	if s.Ladder == nil {
		return view, nil
	}
	rung, err := s.Ladder(ctx, d)
	view.Ladder = &rung
	return view, err
}

// received reads the reports about a domain of the caller's organization. // AC-19
func (s *Server) received(ctx context.Context, by caller, q *ReportQuery) (storage.Domain, report.Received, error) {
	d, err := s.Directory.Domain(ctx, by.org, q.Domain)
	if err != nil {
		return d, report.Received{}, missing(err, "domain", q.Domain)
	}
	if q.Since.IsZero() {
		q.Since = s.Now().Add(-report.Window).UTC()
	}
	all, err := report.Read(ctx, s.Store, by.org, d.ID, q.Since)
	return d, all, err
}
