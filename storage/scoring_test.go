package storage

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// judged is a scoring with everything in it.
func judged(v Verdict) Scoring {
	return Scoring{
		Cause: ScoredAtDelivery, Model: "m1/r1", Verdict: v, Score: 0.71, Reasons: []string{"hidden_text", "addressed_to_agent"},
		Evidence: []ScoringEvidence{{View: "hidden", Part: "1.2", Start: 10, End: 90, Chain: []string{"base64"}, Score: 0.9,
			Reasons: []string{"hidden_text"}, Rule: "unseen", SHA256: [32]byte{1, 2, 3}}},
		Scanned: 4, Skipped: []ScoringSkip{{Part: "2", Why: "type"}}, Micros: 312,
	}
}

func scored(n int, v Verdict) Deposit {
	d, s := letter(n), judged(v)
	d.Scoring, d.Verdict = &s, Unscored
	if v.Taints() {
		d.Flags |= InjectionSuspected
	}
	return d
}

func (ts *testStore) scorings(t testing.TB, org, message uuid.UUID) []Scoring {
	t.Helper()
	all, err := ts.Scorings(t.Context(), org, message)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// rescore judges a message again.
func (ts *testStore) rescore(t testing.TB, in *Inbox, mailbox uuid.UUID, uid uint32, r Rescoring) (e *audit.Event) {
	t.Helper()
	ts.write(t, audit.MessageRescored, func(tx *Tx, event *audit.Event) error {
		e = event
		return tx.Rescore(event, in, mailbox, uid, r)
	})
	return e
}

// TestPI1_ScoringIsStored: what a message was judged as is found by its id, in the organization that it belongs to.
func TestPI1_ScoringIsStored(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	d := scored(1, Suspicious)
	uid := ts.deposit(t, in, inbox, []byte("x"), d)
	want := *d.Scoring
	want.Message, want.At = d.ID, scanAll(t, in, inbox)[0].Received
	all := ts.scorings(t, in.Org(), d.ID)
	if len(all) != 1 || !all[0].At.Equal(want.At) {
		t.Fatalf("%+v", all)
	}
	all[0].At = want.At
	if !reflect.DeepEqual(all[0], want) {
		t.Errorf("got  %+v\nwant %+v", all[0], want)
	}
	m := scanAll(t, in, inbox)[0]
	if m.Content.Verdict != Suspicious || m.Content.Score != 0.71 || m.Content.Model != "m1/r1" || m.Flags&(Tainting|InjectionSuspected) != Tainting|InjectionSuspected {
		t.Errorf("%+v %v", m.Content, m.Flags)
	}
	for name, err := range map[string]error{
		"another organization": second(ts.Scorings(t.Context(), NewID(), d.ID)),
		"another message":      second(ts.Scorings(t.Context(), in.Org(), NewID())),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		return second(tx.Expunge(e, in, inbox, []UIDRange{{First: uid, Last: uid}}, false))
	})
	if _, err := ts.Scorings(t.Context(), in.Org(), d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the scoring outlived its message: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestInvariant5_CopiesCarryTheScoring: COPY and MOVE take it along, and a copy that is judged again counts.
func TestInvariant5_CopiesCarryTheScoring(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	archive := ts.role(t, in, RoleArchive).ID
	d := scored(1, Partial)
	uid := ts.deposit(t, in, inbox, []byte("x"), d)
	all := []UIDRange{{First: uid, Last: uid}}
	ts.write(t, audit.MessageCopied, func(tx *Tx, e *audit.Event) error {
		_, _, err := tx.CopyMessages(e, in, inbox, all, archive)
		return err
	})
	r := Rescoring{Scoring: judged(Clean)}
	r.Message, r.Cause = d.ID, ScoredAtReplay
	ts.clock.advance(time.Minute)
	ts.rescore(t, in, archive, 1, r)
	ts.write(t, audit.MessageMoved, func(tx *Tx, e *audit.Event) error {
		_, _, err := tx.MoveMessages(e, in, archive, all, inbox)
		return err
	})
	got := scanAll(t, in, inbox)
	for i, want := range []Verdict{Partial, Clean} {
		runs, err := got[i].Scorings()
		if err != nil || len(runs) != i+1 || runs[0].Verdict != want || got[i].Content.Verdict != want || runs[i].Verdict != Partial || runs[i].Message != d.ID {
			t.Errorf("%d: %+v %v", i, runs, err)
		}
	}
	if newest := ts.scorings(t, in.Org(), d.ID); len(newest) != 2 || newest[0].Cause != ScoredAtReplay {
		t.Errorf("%+v", newest)
	}
}

// TestPI9_Rescore: verdict, keyword and taint follow the newest judgement; the rest stays.
func TestPI9_Rescore(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	d := scored(1, Clean)
	uid := ts.deposit(t, in, inbox, []byte("body"), d)
	old := scanAll(t, in, inbox)[0]
	r := Rescoring{Scoring: judged(Suspicious), Mark: true, Senders: []string{"eve@example.net"}}
	r.Message, r.Cause, r.Model = d.ID, ScoredAtReplay, "m2"
	e := ts.rescore(t, in, inbox, uid, r)
	m := scanAll(t, in, inbox)[0]
	if m.Modseq <= old.Modseq || m.UID != uid || m.Size != old.Size || m.Flags != old.Flags|Tainting|InjectionSuspected ||
		m.Content.Verdict != Suspicious || m.Content.Model != "m2" || len(m.Content.Senders) != 1 || !slices.Equal(m.Content.Structure, old.Content.Structure) || string(readBody(t, in, &m)) != "body" {
		t.Errorf("%+v\n%+v", m, m.Content)
	}
	if e.Fields.Text(audit.KeyWas) != "clean" || e.Fields.Text(audit.KeyVerdict) != "suspicious" || e.Fields.Text(audit.KeyModel) != "m2" || e.Object != d.ID {
		t.Errorf("%v", e.Fields)
	}
	same := r
	ts.rescore(t, in, inbox, uid, same)
	if again := scanAll(t, in, inbox)[0]; again.Modseq != m.Modseq {
		t.Error("a judgement that changes no keyword told clients so")
	}
	for n := range 2 * maxRuns {
		r.Model = fmt.Sprint("m", n)
		ts.rescore(t, in, inbox, uid, r)
	}
	m = scanAll(t, in, inbox)[0]
	if runs, err := m.Scorings(); err != nil || len(runs) != maxRuns || runs[0].Model != fmt.Sprint("m", 2*maxRuns-1) || runs[maxRuns-1].Verdict != Clean {
		t.Errorf("%d scorings, %v", len(runs), err)
	}
	r.Message = NewID()
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.Rescore(tx.Record(audit.Event{Verb: audit.MessageRescored}), in, inbox, uid, r)
	})
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("a judgement of another message: %v", err)
	}
}

// TestPI9_RescoreLeavesTrustAlone: what a person vouched for is not taken back by a model.
func TestPI9_RescoreLeavesTrustAlone(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	archive := ts.role(t, in, RoleArchive).ID
	d := scored(1, Suspicious)
	uid := ts.deposit(t, in, inbox, []byte("x"), d)
	ts.write(t, audit.MessageMoved, func(tx *Tx, e *audit.Event) error {
		_, _, err := tx.move(e, in, inbox, []UIDRange{{First: uid, Last: uid}}, archive, Tainting|InjectionSuspected)
		return err
	})
	r := Rescoring{Scoring: judged(Quarantine), Mark: true}
	r.Message = d.ID
	ts.rescore(t, in, archive, 1, r)
	if m := scanAll(t, in, archive)[0]; m.Flags&ServerFlags != 0 || m.Content.Verdict != Quarantine {
		t.Errorf("%v %v", m.Flags, m.Content.Verdict)
	}
}

// TestInvariant11_RescoringCannotBeTakenBack: a content that somebody puts back as it was before opens, and the
// verifier names it.
func TestInvariant11_RescoringCannotBeTakenBack(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	old := letter(1) // from before there was a scorer
	old.Verdict = Clean
	for _, d := range []Deposit{scored(1, Clean), scored(2, Clean), scored(3, Clean), old} {
		uid := ts.deposit(t, in, inbox, []byte("x"), d)
		r := Rescoring{Scoring: judged(Quarantine), Mark: true}
		r.Message = d.ID
		before := ts.content(t, uid)
		flags := ts.number(t, "SELECT flags FROM message WHERE place % 4294967296 = $1", uid)
		ts.rescore(t, in, inbox, uid, r)
		if uid == 2 || uid == 4 {
			ts.tamper(t, "UPDATE content SET sealed = $1 WHERE place % 4294967296 = $2", before, uid)
			ts.tamper(t, "UPDATE message SET flags = $1 WHERE place % 4294967296 = $2", flags, uid)
		}
	}
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		return second(tx.Expunge(e, in, inbox, []UIDRange{{First: 3, Last: 3}}, false))
	})
	ts.Close()
	report, err := VerifyData(t.Context(), ts.cfg)
	if err != nil || len(report.Problems) != 2 {
		t.Fatal(report, err)
	}
}

func (ts *testStore) content(t testing.TB, uid uint32) (sealed []byte) {
	t.Helper()
	err := ts.read(t.Context(), func(r *reads) error {
		return r.row("SELECT sealed FROM content WHERE place % 4294967296 = $1", uid).Scan(&sealed)
	})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
