package storage

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// TestReports: a report is known again, whoever names another's id; rows that
// do not agree with the log are found; old ones go.
func TestReports(t *testing.T) {
	ts := newTestStore(t)
	org, domain, _ := ts.addOrg(t, "example.com", "support")
	end := ts.clock.now()
	add := func(reporter, id string, end time.Time) error {
		return ts.Write(t.Context(), System, func(tx *Tx) error {
			r := Report{Head: Head{Org: org.ID}, Kind: ReportDMARC, Domain: domain.ID, Reporter: reporter, ReportID: id, Begin: end.Add(-time.Hour), End: end,
				Content: json.RawMessage(`{}`)}
			return tx.AddReport(tx.Record(audit.Event{Verb: audit.ReportReceived}), &r)
		})
	}
	for _, r := range []struct {
		reporter, id string
		end          time.Time
		want         error
	}{
		{"a.example", "1", end, nil}, {"a.example", "1", end, ErrConflict}, {"b.example", "1", end, nil},
		{"a.example", "2", end.AddDate(-2, 0, 0), nil},
	} {
		if err := add(r.reporter, r.id, r.end); !errors.Is(err, r.want) {
			t.Errorf("%s %s: %v, want %v", r.reporter, r.id, err, r.want)
		}
	}
	all, err := ts.Reports(t.Context(), org.ID, domain.ID, end.AddDate(-3, 0, 0), 10)
	if err != nil || len(all) != 3 || all[2].ReportID != "2" {
		t.Fatalf("%+v, %v", all, err)
	}
	if other, err := ts.Reports(t.Context(), uuid.New(), domain.ID, time.Time{}, 10); err != nil || len(other) != 0 { // AC-19
		t.Errorf("another organization sees %d, %v", len(other), err)
	}
	if n, err := ts.SweepReports(t.Context(), end.AddDate(-1, 0, 0)); err != nil || n != 1 {
		t.Errorf("%d are swept, %v", n, err)
	}
	if n, err := ts.CountReports(t.Context(), domain.ID); err != nil || n != 2 {
		t.Errorf("%d are left, %v", n, err)
	}
	ts.Close()
	if r, err := VerifyData(t.Context(), ts.cfg); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
	for _, edit := range []string{"UPDATE report SET hash = x'00' WHERE hash = (SELECT MIN(hash) FROM report)", "DELETE FROM report WHERE hash = x'00'"} {
		tamper(t, ts.cfg.Dir, edit)
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
			t.Errorf("%s: %+v, %v", edit, r, err)
		}
	}
}
