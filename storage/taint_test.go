package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// readAs reads messages as an agent.
func (ts *testStore) readAs(t testing.TB, agent uuid.UUID, in *Inbox, mailbox uuid.UUID, verb audit.Verb, uids ...UIDRange) {
	t.Helper()
	actor := audit.Actor{Kind: audit.Agent, ID: agent, Credential: newID()}
	err := ts.Write(context.Background(), actor, func(tx *Tx) error {
		return tx.RecordRead(tx.Record(audit.Event{Verb: verb}), in, actor.Credential, mailbox, uids)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (ts *testStore) taintOf(t testing.TB, in *Inbox, agent uuid.UUID) Taint {
	t.Helper()
	taint, err := ts.Taint(t.Context(), in.Org(), agent)
	if err != nil {
		t.Fatal(err)
	}
	return taint
}

// hostile is a message that taints.
func hostile(n int, senders ...string) Deposit {
	d := letter(n)
	d.Senders = senders
	return d
}

func harmless(n int) Deposit {
	d := letter(n)
	d.Verdict = Clean
	return d
}

// TestPI5_ReadingTaints holds which readings taint: of what taints, by an agent, of its content.
func TestPI5_ReadingTaints(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	body := []byte("Subject: x\r\n\r\nx\r\n")
	ts.deposit(t, in, inbox, body, harmless(1))
	ts.deposit(t, in, inbox, body, hostile(2, "eve@evil.example"))
	byHand := harmless(3)
	byHand.Flags = Tainting // nobody sets it by hand
	ts.deposit(t, in, inbox, body, byHand)

	tainted := func(agent uuid.UUID) bool {
		_, is := ts.taintOf(t, in, agent).copyOf().During(time.Hour, ts.clock.now())
		return is
	}
	searcher, reader, other := newID(), newID(), newID()
	ts.readAs(t, searcher, in, inbox, audit.MessageSearched, UIDRange{First: 1, Last: 3})
	ts.readAs(t, other, in, inbox, audit.MessageRead, UIDRange{First: 1, Last: 1}, UIDRange{First: 3, Last: 3})
	ts.write(t, audit.MessageRead, func(tx *Tx, e *audit.Event) error { // by no agent
		return tx.RecordRead(e, in, newID(), inbox, allUIDs)
	})
	ts.readAs(t, reader, in, inbox, audit.MessageRead, UIDRange{First: 1, Last: 3})
	if tainted(searcher) || tainted(other) || !tainted(reader) {
		t.Errorf("searched %v, read others %v, read it %v", tainted(searcher), tainted(other), tainted(reader))
	}
	taint := ts.taintOf(t, in, reader)
	for address, want := range map[string]bool{"eve@evil.example": true, "ann@good.example": false} {
		if by, err := ts.TaintedBy(t.Context(), &taint, address); err != nil || by != want {
			t.Errorf("tainted by %s: %v, %v", address, by, err)
		}
	}
	events, err := ts.Events(t.Context(), EventQuery{Org: in.Org(), Verbs: []audit.Verb{audit.AgentTainted}})
	if err != nil || len(events) != 1 || events[0].Agent != reader || len(events[0].Writes) != 1 {
		t.Errorf("%+v, %v", events, err)
	}
	if all := scanAll(t, in, inbox); all[1].Flags&Tainting == 0 || all[2].Flags&Tainting != 0 || slices.Contains(all[1].Flags.Names(nil), "") {
		t.Errorf("flags %b, %b", all[1].Flags, all[2].Flags)
	}
}

// TestPI5_WhatTaints: everything but what was looked at in whole and found clean. What nobody could judge gains nothing
// by that.
func TestPI5_WhatTaints(t *testing.T) {
	for v, want := range map[Verdict]bool{Unscored: true, Clean: false, Suspicious: true, Quarantine: true, Partial: true} {
		if v.Taints() != want {
			t.Errorf("%s taints: %v", v, v.Taints())
		}
	}
}

func (t Taint) copyOf() *Taint { return &t }

// TestPI5_TaintOutlivesTheMessage: copies taint too, and what becomes of the message lifts nothing.
func TestPI5_TaintOutlivesTheMessage(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	archive, trash := ts.role(t, in, RoleArchive).ID, ts.role(t, in, RoleTrash).ID
	ts.deposit(t, in, inbox, []byte("Subject: x\r\n\r\nx\r\n"), hostile(1, "eve@evil.example"))
	ts.write(t, audit.MessageCopied, func(tx *Tx, e *audit.Event) error {
		_, _, err := tx.CopyMessages(e, in, inbox, allUIDs, archive)
		return err
	})
	ts.write(t, audit.MessageFlagged, func(tx *Tx, e *audit.Event) error { // a client writes a whole list back
		_, err := tx.SetFlags(e, in, archive, allUIDs, ReplaceFlags, Seen, nil)
		return err
	})
	ts.write(t, audit.MessageFlagged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.SetFlags(e, in, archive, allUIDs, RemoveFlags, Tainting|Seen, nil)
		return err
	})
	ts.write(t, audit.MessageMoved, func(tx *Tx, e *audit.Event) error {
		_, _, err := tx.MoveMessages(e, in, archive, allUIDs, trash)
		return err
	})
	agent := newID()
	ts.readAs(t, agent, in, trash, audit.MessageRead, UIDRange{First: 1, Last: 1})
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, trash, nil, false)
		return err
	})
	ts.Close()
	ts.open(t)
	taint := ts.taintOf(t, in, agent)
	if since, is := taint.During(time.Hour, ts.clock.now()); !is || since.IsZero() {
		t.Errorf("since %v, %v", since, is)
	}
	if by, err := ts.TaintedBy(t.Context(), &taint, "eve@evil.example"); err != nil || !by {
		t.Errorf("by its sender: %v, %v", by, err)
	}
	ts.Close()
	if r, err := VerifyData(t.Context(), ts.cfg); err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, edit := range []string{"UPDATE taint SET id = randomblob(16)", "DELETE FROM taint"} {
		tamper(t, ts.cfg.Dir, edit)
		if r, err := VerifyData(t.Context(), ts.cfg); err != nil || r.OK() {
			t.Errorf("%s: %+v, %v", edit, r, err)
		}
	}
}

// TestPI5_TheMarkIsSealed: who clears it in the database hides no message from the taint, for it cannot be read then.
func TestPI5_TheMarkIsSealed(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.deposit(t, in, inbox, []byte("Subject: x\r\n\r\nx\r\n"), hostile(1))
	ts.Close()
	tamper(t, ts.cfg.Dir, "UPDATE message SET flags = 0")
	ts.open(t)
	in = ts.openInbox(t, in.record)
	if err := in.Scan(t.Context(), inbox, allUIDs, true, func(*Message) error { return nil }); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
}

// TestPI5_TaintLasts: how long, from when, and through which row of readings.
func TestPI5_TaintLasts(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	source := func(first, last int) TaintSource {
		return TaintSource{Message: newID(), First: at(first), Last: at(last)}
	}
	for _, c := range []struct {
		name    string
		sources []TaintSource
		crowded int
		d       time.Duration
		now     int
		since   int // -1: not tainted
	}{
		{"never read", nil, 0, time.Hour, 5, -1},
		{"just now", []TaintSource{source(5, 5)}, 0, time.Hour, 5, 5},
		{"an hour ago", []TaintSource{source(0, 5)}, 0, time.Hour, 65, 0},
		{"over", []TaintSource{source(0, 5)}, 0, time.Hour, 67, -1},
		{"switched off", []TaintSource{source(0, 5)}, 0, 0, 6, -1},
		{"a row of three", []TaintSource{source(90, 100), source(0, 0), source(50, 60)}, 0, time.Hour, 150, 0},
		{"two that do not touch", []TaintSource{source(0, 0), source(90, 100)}, 0, time.Hour, 150, 90},
		{"policy asks for too long", []TaintSource{source(0, 0)}, 0, 1000 * time.Hour, 25 * 60, -1},
		{"the clock went back", []TaintSource{source(50, 50)}, 0, time.Hour, 10, 10},
		{"crowded", nil, 20, time.Hour, 70, 20},
	} {
		taint := Taint{Sources: c.sources}
		if c.crowded > 0 {
			taint.Crowded = at(c.crowded)
		}
		since, is := taint.During(c.d, at(c.now))
		if is != (c.since >= 0) || is && !since.Equal(at(c.since)) {
			t.Errorf("%s: %v since %v", c.name, is, since)
		}
	}
}

// TestPI5_TaintIsBounded: beyond what one row remembers everybody is suspect, and reading the same again and again
// writes no more than once a minute.
func TestPI5_TaintIsBounded(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	for n := range maxTaintSources + 5 {
		ts.deposit(t, in, inbox, []byte("Subject: x\r\n\r\nx\r\n"), hostile(n, fmt.Sprintf("eve%d@evil.example", n)))
	}
	agent := newID()
	for range 3 {
		ts.readAs(t, agent, in, inbox, audit.MessageRead, UIDRange{First: 1, Last: maxTaintSources})
	}
	taint := ts.taintOf(t, in, agent)
	if by, _ := ts.TaintedBy(t.Context(), &taint, "ann@good.example"); by || len(taint.Sources) != maxTaintSources || taint.Version != 1 {
		t.Errorf("%d sources, version %d, tainted by a stranger %v", len(taint.Sources), taint.Version, by)
	}
	ts.readAs(t, agent, in, inbox, audit.MessageRead, allUIDs...)
	taint = ts.taintOf(t, in, agent)
	if by, _ := ts.TaintedBy(t.Context(), &taint, "ann@good.example"); !by || len(taint.Sources) != maxTaintSources {
		t.Errorf("%d sources, tainted by a stranger %v", len(taint.Sources), by)
	}
	ts.clock.advance(2 * MaxTaint)
	ts.readAs(t, agent, in, inbox, audit.MessageRead, UIDRange{First: 1, Last: 1})
	if taint = ts.taintOf(t, in, agent); len(taint.Sources) != 1 || !taint.Crowded.IsZero() {
		t.Errorf("after a day: %d sources, crowded %v", len(taint.Sources), taint.Crowded)
	}
}

// TestTaintingIsIndexed: a reading of a hundred thousand messages looks at those that taint, and at no other.
func TestTaintingIsIndexed(t *testing.T) {
	ts := newTestStore(t)
	var plan strings.Builder
	err := ts.read(t.Context(), func(r *reads) error {
		rows, err := r.rows("EXPLAIN QUERY PLAN "+tainting, 1, 2, 3)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				return err
			}
			plan.WriteString(detail + "\n")
		}
		return rows.Err()
	})
	if err != nil || !strings.Contains(plan.String(), "INDEX message_tainting (box=? AND place>? AND place<?)") {
		t.Errorf("%s %v", plan.String(), err)
	}
	if !strings.Contains(tainting, fmt.Sprintf("flags & %d)", Tainting)) {
		t.Error("the query asks for another bit")
	}
}
