package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// ReportsLocal is the local part of the address of each of our domains to which
// others send reports. No inbox has it.
const ReportsLocal = "postern-reports"

// ReportKind is what a report is about.
type ReportKind string

// The kinds.
const (
	ReportDMARC ReportKind = "dmarc" // aggregate report: RFC 7489, section 7.2
	ReportTLS   ReportKind = "tls"   // SMTP TLS report: RFC 8460
)

// Report is what somebody else reported about a domain of ours. People look at it
// before they ask others to refuse mail in the domain's name, so it is sealed, and
// the event that brought it says so.
type Report struct {
	Head
	Kind     ReportKind      `json:"kind"`
	Domain   uuid.UUID       `json:"domain"`
	Reporter string          `json:"reporter"`  // domain that provably sent it
	ReportID string          `json:"report_id"` // unique for the reporter
	Begin    time.Time       `json:"begin"`     // of what it covers
	End      time.Time       `json:"end"`
	Received time.Time       `json:"received"`
	Content  json.RawMessage `json:"content"` // what it says, in the form of server/report
}

// reportHash is by which the same report is known again, whoever's it is: the one
// who provably sent it vouches for the id, so nobody takes another's.
func (s *Store) reportHash(r *Report) []byte {
	name, _ := json.Marshal([]string{string(r.Kind), r.Domain.String(), r.Reporter, r.ReportID}) // never fails for strings
	return s.index.Hash("report", name)
}

// HasReport says whether the same report came before.
func (s *Store) HasReport(ctx context.Context, r *Report) (bool, error) {
	var one int
	err := s.look(ctx, func(rd *reads) error {
		return found(rd.row("SELECT 1 FROM report WHERE hash = $1", s.reportHash(r)).Scan(&one))
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// AddReport stores a report; ErrConflict when it came before.
func (tx *Tx) AddReport(e *audit.Event, r *Report) error {
	r.Received = tx.now
	sealed, err := tx.sealRecord(e, "report", r)
	if err != nil {
		return err
	}
	e.Org, e.Object = r.Org, r.ID
	return tx.exec("INSERT INTO report (id, org, version, event, domain, hash, ended, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		r.ID[:], r.Org[:], r.Version, r.Event[:], r.Domain[:], tx.store().reportHash(r), micros(r.End), sealed)
}

// Reports lists the reports about a domain of an organization whose period ended
// at a time or later, the newest end first, at most limit of them.
func (s *Store) Reports(ctx context.Context, org, domain uuid.UUID, since time.Time, limit int) ([]Report, error) {
	all, err := list[Report](ctx, s, "report", "org = $1 AND domain = $2 AND ended >= $3 ORDER BY ended DESC, id DESC LIMIT $4",
		org[:], domain[:], micros(since), limit)
	for i := range all {
		if all[i].Domain != domain {
			return nil, fmt.Errorf("%w: report %s is about another domain", ErrCorrupt, all[i].ID)
		}
	}
	return all, err
}

// CountReports says how many reports there are about a domain.
func (s *Store) CountReports(ctx context.Context, domain uuid.UUID) (n int, err error) {
	err = s.look(ctx, func(r *reads) error {
		return classify(r.row("SELECT COUNT(*) FROM report WHERE domain = $1", domain[:]).Scan(&n))
	})
	return n, err
}

// reportStep is how many reports one event says were removed.
const reportStep = 50

// SweepReports removes reports whose period ended before a time, and those about
// domains that are gone, step by step, and says how many that were.
func (s *Store) SweepReports(ctx context.Context, before time.Time) (n int, err error) {
	for {
		step := 0
		err := s.Write(ctx, System, func(tx *Tx) (err error) {
			step, err = tx.sweepReports(before)
			return err
		})
		switch {
		case errors.Is(err, ErrNoEvent):
			return n, nil // nothing was left
		case err != nil:
			return n, err
		}
		n += step
	}
}

// sweepReports removes some reports of one organization.
func (tx *Tx) sweepReports(before time.Time) (int, error) {
	rows, err := tx.rows(`SELECT id, org, version FROM report WHERE ended < $1 OR domain NOT IN (SELECT id FROM domain)
		ORDER BY org, id LIMIT $2`, micros(before), reportStep)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var all []Head
	for rows.Next() {
		var h Head
		if err := rows.Scan(&h.ID, &h.Org, &h.Version); err != nil {
			return 0, classify(err)
		}
		if len(all) == 0 || all[0].Org == h.Org {
			all = append(all, h)
		}
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		return 0, classify(err)
	}
	e := tx.Record(audit.Event{Verb: audit.ReportSwept, Outcome: audit.OK, Org: all[0].Org,
		Fields: audit.Fields{audit.Int(audit.KeyCount, len(all))}})
	for _, h := range all {
		tx.wrote(e, "report", h.ID[:], h.Version+1, nil)
		if err := tx.exec("DELETE FROM report WHERE id = $1", h.ID[:]); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// reportHint holds the column by which the same report is known again.
func reportHint(s *Store, row sealedRow, column []byte) (bool, error) {
	var r Report
	err := s.openRecord(context.Background(), "report", row, &r)
	return bytes.Equal(column, s.reportHash(&r)), err
}
