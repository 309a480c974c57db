package server

import (
	"context"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/server/queue"
	"postern/server/report"
	"postern/storage"
)

// What the office for reports is handed of the rooms beside it, and they of it.

// postReport puts a report into the queue, as mail of the server's own.
func (s *Server) postReport(ctx context.Context, l report.Letter) (report.Prepared, error) {
	r, err := s.queue.Post(ctx, queue.Notice{Org: l.Org, Inbox: l.Inbox, To: l.To, MessageID: l.MessageID, Data: l.Data})
	return report.Prepared{Store: r.Store, Discard: r.Discard}, err
}

// countSessions says how to count what came of TLS for the reports to other
// domains, in the transaction that records an attempt. Nil: policy wants none.
func (s *Server) countSessions(ctx context.Context, org uuid.UUID, sessions []queue.TLSSession) (func(*storage.Upkeep) error, error) {
	rules, err := policy.LoadInbound(ctx, s.store, org, uuid.Nil)
	if err != nil || !rules.TLSReports {
		return nil, err
	}
	counted := make([]report.Session, 0, len(sessions))
	for _, t := range sessions {
		counted = append(counted, report.Session{Policy: t.Policy, Text: t.PolicyText, Domain: t.PolicyDomain, Host: t.Host, Remote: t.IP, Failure: t.Failure})
	}
	return func(u *storage.Upkeep) error { return report.CountTLS(u, org, counted) }, nil
}

// ladder says where a domain stands on the way to p=reject, and whether what others
// reported is evidence enough for the next step.
func (s *Server) ladder(ctx context.Context, d storage.Domain) (report.Rung, error) {
	facts, err := s.facts(ctx, d)
	if err != nil {
		return report.Rung{}, err
	}
	now := s.now()
	all, err := report.Read(ctx, s.store, d.Org, d.ID, now.Add(-2*report.Window))
	return report.Ladder(facts.DMARC, all.Aggregates, facts.Addresses, now), err
}
