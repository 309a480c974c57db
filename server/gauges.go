package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/server/acme"
	"postern/server/metrics"
	"postern/storage"
	"postern/storage/audit"
)

// gauges reads what a scrape asks for. What cannot be read is left out, so that the
// rest is still told.
func (s *Server) gauges(ctx context.Context, r *metrics.Reading) {
	err := s.ready(ctx)
	r.Is(metrics.Ready, err == nil)
	r.Is(metrics.StoreWritable, !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrFull))
	s.doorGauges(r)
	s.logGauges(ctx, r)
	s.spaceGauges(r)
	orgs, err := s.store.Organizations(ctx)
	if err != nil {
		return
	}
	s.waitingGauges(ctx, r, orgs)
	s.certificateGauges(ctx, r, orgs)
	r.Set(metrics.ScorerTurned, float64(s.scorer.Counts().Turned))
}

func (s *Server) doorGauges(r *metrics.Reading) {
	sessions := map[string]int{"imap": 0, "submission": 0, "submissions": 0}
	for _, one := range s.directory.Sessions() {
		sessions[one.Door]++
	}
	for door, n := range sessions {
		r.Set(metrics.Sessions, float64(n), door)
	}
	r.Set(metrics.Connections, float64(s.imap.Connections()), "imap")
	for door, n := range s.smtp.Connections() {
		r.Set(metrics.Connections, float64(n), door)
	}
}

func (s *Server) logGauges(ctx context.Context, r *metrics.Reading) {
	if l, err := s.store.LogState(ctx); err == nil {
		r.Set(metrics.AuditEvents, float64(l.Events))
		r.Set(metrics.AuditUnsigned, float64(l.Unsigned))
		r.Time(metrics.CheckpointTime, l.Signed)
		r.Is(metrics.WitnessKept, l.Witnessed)
	}
	last, err := s.store.Events(ctx, storage.EventQuery{Verbs: []audit.Verb{audit.BackupCreate}, Newest: true, Limit: 1})
	if err == nil && len(last) > 0 {
		r.Time(metrics.BackupTime, last[0].Time)
	}
}

func (s *Server) spaceGauges(r *metrics.Reading) {
	if free, all, err := s.store.Space(); err == nil {
		r.Set(metrics.DiskFree, float64(free))
		r.Set(metrics.DiskSize, float64(all))
	}
	if z, err := s.store.Sizes(); err == nil {
		r.Set(metrics.StorageBytes, float64(z.Database), "database")
		r.Set(metrics.StorageBytes, float64(z.Journal), "journal")
		r.Set(metrics.StorageBytes, float64(z.Keys), "keys")
		r.Set(metrics.StorageBytes, float64(z.Bodies), "bodies")
	}
}

// queued is what the queue has in one state.
type queued struct {
	count  int64
	oldest time.Time
}

// waitingGauges sums what waits in all organizations: whose it is, a label does not
// say.
func (s *Server) waitingGauges(ctx context.Context, r *metrics.Reading, orgs []storage.Organization) {
	var sum storage.Waiting
	states := map[string]queued{storage.OutgoingQueued.String(): {}, storage.OutgoingHeld.String(): {}}
	var alerts int64
	for i := range orgs {
		w, err := s.store.Waiting(ctx, orgs[i].ID)
		if err != nil {
			return
		}
		sum.Quarantine, sum.Approvals = sum.Quarantine+w.Quarantine, sum.Approvals+w.Approvals
		if !s.sumQueue(ctx, orgs[i].ID, states) {
			return
		}
		n, err := s.store.OpenAlerts(ctx, orgs[i].ID)
		if err != nil {
			return
		}
		alerts += n
	}
	r.Set(metrics.QuarantineWaiting, float64(sum.Quarantine))
	r.Set(metrics.ApprovalsWaiting, float64(sum.Approvals))
	r.Set(metrics.AlertsOpen, float64(alerts))
	for state, q := range states {
		r.Set(metrics.QueueRecipients, float64(q.count), state)
		r.Time(metrics.QueueOldest, q.oldest, state)
	}
}

func (s *Server) sumQueue(ctx context.Context, org uuid.UUID, states map[string]queued) bool {
	counts, err := s.queue.Counts(ctx, org)
	for _, c := range counts {
		q := states[c.State.String()]
		q.count += c.Count
		if q.oldest.IsZero() || c.Oldest.Before(q.oldest) {
			q.oldest = c.Oldest
		}
		states[c.State.String()] = q
	}
	return err == nil
}

// certificateGauges tell of each kind of certificate when the first of them ends.
func (s *Server) certificateGauges(ctx context.Context, r *metrics.Reading, orgs []storage.Organization) {
	ends := map[acme.Source]time.Time{}
	for i := range orgs {
		all, err := s.certs.List(ctx, orgs[i].ID)
		if err != nil {
			return
		}
		for _, c := range all {
			if end := ends[c.Source]; !c.NotAfter.IsZero() && (end.IsZero() || c.NotAfter.Before(end)) {
				ends[c.Source] = c.NotAfter
			}
		}
	}
	for kind, end := range ends {
		r.Time(metrics.CertificateEnd, end, string(kind))
	}
}
