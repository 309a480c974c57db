package storage

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// sees records that an agent reads messages of a mailbox, in that class.
func (ts *testStore) sees(t testing.TB, agent, cred uuid.UUID, in *Inbox, mailbox uuid.UUID, class string, uids ...UIDRange) {
	t.Helper()
	err := ts.Write(context.Background(), audit.Actor{Kind: audit.Agent, ID: agent, Credential: cred}, func(tx *Tx) error {
		e := tx.Record(audit.Event{Verb: audit.MessageRead, Agent: agent, Credential: cred, Fields: audit.Fields{audit.Word(audit.KeyClass, class)}})
		return tx.RecordRead(e, in, cred, mailbox, uids)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (ts *testStore) recentOf(t testing.TB, agent uuid.UUID) []RecentRead {
	t.Helper()
	reads, err := ts.RecentReads(t.Context(), agent)
	if err != nil {
		t.Fatal(err)
	}
	return reads
}

// TestAU3_RecentReads holds that what an agent read is known before it sends, is
// bounded, and is the same after a restart.
func TestAU3_RecentReads(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	for range 100 {
		ts.deposit(t, in, inbox, []byte("Subject: x\r\n\r\nhello\r\n"), letter(1))
	}
	agent, first, second, other := newID(), newID(), newID(), newID()
	ts.sees(t, agent, first, in, inbox, "body", UIDRange{First: 1, Last: 1})
	ts.clock.advance(RecentReadTime - time.Hour)
	ts.sees(t, agent, first, in, inbox, "envelope", UIDRange{First: 1, Last: 100})
	if reads := ts.recentOf(t, agent); len(reads) != 2 || !reads[0].Text || reads[1].Text || reads[0].Inbox != in.ID() || reads[0].Mailbox != inbox {
		t.Fatalf("loaded from the log: %+v", reads)
	}
	// From here on commits keep it up.
	ts.sees(t, other, newID(), in, inbox, "body", UIDRange{First: 2, Last: 2})
	ts.sees(t, agent, second, in, inbox, "body", UIDRange{First: 3, Last: 5})
	for range 3 {
		ts.sees(t, agent, first, in, inbox, "envelope", UIDRange{First: 1, Last: 100})
	}
	reads := ts.recentOf(t, agent)
	if len(reads) != 3 || reads[1].Credential != second || !reads[1].UIDs.Contains(4) || reads[1].UIDs.Contains(2) || reads[2].Text {
		t.Errorf("a client that polls: %+v", reads)
	}
	ts.clock.advance(2 * time.Hour)
	if reads = ts.recentOf(t, agent); len(reads) != 2 {
		t.Errorf("%d reads after a day, want the two of today", len(reads))
	}
	for uid := range uint32(MaxRecentReads + 10) {
		ts.sees(t, agent, first, in, inbox, "body", UIDRange{First: uid + 1, Last: uid + 1})
	}
	before := ts.recentOf(t, agent)
	if len(before) != MaxRecentReads || !before[MaxRecentReads-1].UIDs.Contains(MaxRecentReads+10) {
		t.Errorf("%d reads, the last %+v", len(before), before[len(before)-1])
	}
	ts.reopen(t)
	after := ts.recentOf(t, agent)
	if !slices.EqualFunc(before, after, func(a, b RecentRead) bool { return a.Seq == b.Seq && a.same(&b) && a.Time.Equal(b.Time) }) {
		t.Errorf("after a restart:\n got %+v\nwant %+v", after, before)
	}
	if reads := ts.recentOf(t, newID()); len(reads) != 0 {
		t.Errorf("an agent that never read: %+v", reads)
	}
}

// TestRecentAgentsAreBounded holds that memory does not grow with agents.
func TestRecentAgentsAreBounded(t *testing.T) {
	var r recentReads
	now := time.Now()
	kept := newID()
	for i := range maxRecentAgents + 100 {
		now = now.Add(time.Second)
		id := newID()
		if i == 0 {
			id = kept
		}
		r.find(id, now)
		r.find(kept, now)
	}
	if len(r.agents) != maxRecentAgents || r.agents[kept] == nil {
		t.Errorf("%d agents, the one that asks kept: %v", len(r.agents), r.agents[kept] != nil)
	}
}

// TestAU3_Readers follows a message through copies and moves to who saw it.
func TestAU3_Readers(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	archive := ts.role(t, in, RoleArchive).ID
	_, uid := ts.arrive(t, in, inbox, tracedID)
	_, neighbour := ts.arrive(t, in, inbox, "<after@example.com>")
	arrived, err := in.Arrivals(t.Context(), tracedID)
	if err != nil || len(arrived) != 1 || arrived[0].Personal.Text(audit.KeyMessageID) != tracedID {
		t.Fatalf("arrivals: %+v, %v", arrived, err)
	}
	if none, err := in.Arrivals(t.Context(), "<none@example.com>"); err != nil || len(none) != 0 {
		t.Errorf("arrivals of nothing: %+v, %v", none, err)
	}
	near, far, blind := newID(), newID(), newID()
	ts.sees(t, near, newID(), in, inbox, "body", UIDRange{First: uid, Last: uid})
	var copied []uint32
	ts.write(t, audit.MessageCopied, func(tx *Tx, e *audit.Event) (err error) {
		_, copied, err = tx.CopyMessages(e, in, inbox, []UIDRange{{First: uid, Last: uid}}, archive)
		return err
	})
	ts.sees(t, far, newID(), in, archive, "body", UIDRange{First: copied[0], Last: copied[0]})
	ts.sees(t, blind, newID(), in, inbox, "body", UIDRange{First: neighbour, Last: neighbour})
	readers, whole, err := in.Readers(t.Context(), &arrived[0])
	if err != nil || !whole || len(readers) != 2 || readers[near].Seq == 0 || readers[far].Mailbox != archive {
		t.Errorf("readers %v, whole %v, %v", readers, whole, err)
	}
}
