package storage

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

const tracedID = "<traced@example.com>"

// arrive deposits a message and records its Message-ID, as delivery does.
func (ts *testStore) arrive(t *testing.T, in *Inbox, mailbox uuid.UUID, messageID string) (id uuid.UUID, uid uint32) {
	t.Helper()
	g := ts.stage(t, []byte("Message-ID: "+messageID+"\r\n\r\nhello\r\n"))
	defer g.Discard()
	d := letter(1)
	ts.write(t, audit.MessageReceived, func(tx *Tx, e *audit.Event) (err error) {
		e.Personal = audit.Fields{audit.Text(audit.KeyMessageID, messageID)}
		if d.Body, err = tx.AddBody(g); err != nil {
			return err
		}
		uid, err = tx.Deposit(e, in, mailbox, d)
		return err
	})
	return d.ID, uid
}

func verbs(events []audit.Event) (all []string) {
	for i := range events {
		all = append(all, events[i].Verb.String())
	}
	return all
}

// TestAU2_TraceFollowsTheMessage holds that one query finds what happened to a
// message, and nothing that happened to its neighbours.
func TestAU2_TraceFollowsTheMessage(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	archive, trash := ts.role(t, in, RoleArchive).ID, ts.role(t, in, RoleTrash).ID
	cred := newID()
	read := func(mailbox uuid.UUID, uid uint32) {
		ts.write(t, audit.MessageRead, func(tx *Tx, e *audit.Event) error {
			return tx.RecordRead(e, in, cred, mailbox, []UIDRange{{First: uid, Last: uid}})
		})
	}
	ts.arrive(t, in, inbox, "<before@example.com>")
	id, uid := ts.arrive(t, in, inbox, tracedID)
	_, neighbour := ts.arrive(t, in, inbox, "<after@example.com>")
	read(inbox, uid)
	read(inbox, neighbour)
	ts.write(t, audit.QueueAttempt, func(tx *Tx, e *audit.Event) error { e.Org, e.Object = in.Org(), id; return nil })
	var copied, moved []uint32
	ts.write(t, audit.MessageCopied, func(tx *Tx, e *audit.Event) (err error) {
		_, copied, err = tx.CopyMessages(e, in, inbox, allUIDs, archive)
		return err
	})
	ts.write(t, audit.MessageMoved, func(tx *Tx, e *audit.Event) (err error) {
		_, moved, err = tx.MoveMessages(e, in, inbox, []UIDRange{{First: uid, Last: neighbour}}, trash)
		return err
	})
	read(archive, copied[1]) // ours
	read(archive, copied[2])
	read(trash, moved[0]) // ours
	read(trash, moved[1])
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, trash, nil, false)
		return err
	})
	trace, err := ts.Trace(t.Context(), audit.Actor{Kind: audit.Unix, Name: "ann"}, in.Org(), tracedID)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"message.received", "message.read", "queue.attempt", "message.copied", "message.moved",
		"message.read", "message.read", "message.expunged"}
	if got := verbs(trace.Events); !slices.Equal(got, want) {
		t.Errorf("trace:\n got %q\nwant %q", got, want)
	}
	again, err := ts.Trace(t.Context(), System, in.Org(), tracedID)
	if err != nil {
		t.Fatal(err)
	}
	last := again.Events[len(again.Events)-1]
	if last.Verb != audit.MessageTraced || last.Actor.Name != "ann" {
		t.Errorf("the look at the history left %s by %q, not message.traced by ann", last.Verb, last.Actor.Name)
	}
}

// TestTraceOfAMailboxThatWent holds that the end of a mailbox is the end of the
// message, and that renaming INBOX takes it along.
func TestTraceOfAMailboxThatWent(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.arrive(t, in, inbox, tracedID)
	ts.write(t, audit.MailboxRename, func(tx *Tx, e *audit.Event) error { return tx.RenameMailbox(e, in, inbox, "Old") })
	old, err := in.MailboxByName(t.Context(), "Old")
	if err != nil {
		t.Fatal(err)
	}
	ts.write(t, audit.MailboxDelete, func(tx *Tx, e *audit.Event) error { return tx.DeleteMailbox(e, in, old.ID) })
	trace, err := ts.Trace(t.Context(), System, in.Org(), tracedID)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verbs(trace.Events), []string{"message.received", "mailbox.rename", "mailbox.delete"}; !slices.Equal(got, want) {
		t.Errorf("trace %q, want %q", got, want)
	}
}

// TestTraceHasTheNotice holds that the report of a failure stands on the page of
// the message that failed.
func TestTraceHasTheNotice(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	id, uid := ts.arrive(t, in, inbox, tracedID)
	ts.write(t, audit.MessageExpunged, func(tx *Tx, e *audit.Event) error {
		_, err := tx.Expunge(e, in, inbox, []UIDRange{{First: uid, Last: uid}}, false)
		return err
	})
	ts.write(t, audit.QueueFailed, func(tx *Tx, e *audit.Event) error {
		e.Org, e.Inbox, e.Object = in.Org(), in.ID(), id
		for _, answered := range []string{tracedID, "<other@example.com>"} {
			tx.Record(audit.Event{Verb: audit.NoticeDelivered, Org: in.Org(), Inbox: in.ID(),
				Personal: audit.Fields{audit.Text(audit.KeyInReplyTo, answered)}})
		}
		return nil
	})
	trace, err := ts.Trace(t.Context(), System, in.Org(), tracedID)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"message.received", "message.expunged", "queue.failed", "notice.delivered"}
	if got := verbs(trace.Events); !slices.Equal(got, want) {
		t.Errorf("trace %q, want %q", got, want)
	}
}

// TestAC19_TraceOfAnotherOrganization holds that a foreign Message-ID is unknown.
func TestAC19_TraceOfAnotherOrganization(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	ts.arrive(t, in, inbox, tracedID)
	other, _, _ := ts.addOrg(t, "example.net", "support")
	trace, err := ts.Trace(t.Context(), System, other.ID, tracedID)
	if err != nil || len(trace.Events) > 0 {
		t.Errorf("trace across organizations: %q, %v", verbs(trace.Events), err)
	}
}

// submits records a submission that answers a message, and returns its event's
// number.
func (ts *testStore) submits(t *testing.T, agent uuid.UUID, in *Inbox, answers uuid.UUID) uint64 {
	t.Helper()
	var e *audit.Event
	err := ts.Write(t.Context(), audit.Actor{Kind: audit.Agent, ID: agent}, func(tx *Tx) error {
		e = tx.Record(audit.Event{Verb: audit.MessageSubmitted, Org: in.Org(), Agent: agent, Inbox: in.ID(), Object: newID(),
			Fields: audit.Fields{audit.ID(audit.KeyAnswers, answers)}, Personal: audit.Fields{audit.Text(audit.KeyMessageID, "<sent@example.com>")}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return e.Seq
}

// TestAU3_TraceTellsWhatReadersSentNext holds that the page of a message has what
// those who read it submitted within a day, and later only what answers it; and
// that the page of an answer has how came what it answers.
func TestAU3_TraceTellsWhatReadersSentNext(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	id, uid := ts.arrive(t, in, inbox, tracedID)
	reader, other := newID(), newID()
	ts.submits(t, reader, in, newID()) // before it read
	ts.sees(t, reader, newID(), in, inbox, "body", UIDRange{First: uid, Last: uid})
	next := ts.submits(t, reader, in, newID())
	ts.submits(t, other, in, newID())
	ts.clock.advance(RecentReadTime + time.Hour)
	ts.submits(t, reader, in, newID())
	late := ts.submits(t, reader, in, id)
	trace, err := ts.Trace(t.Context(), System, in.Org(), tracedID)
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Sequels) != 2 || trace.Sequels[0].Seq != next || trace.Sequels[1].Seq != late {
		t.Errorf("sent next: %+v", trace.Sequels)
	}
	answer, err := ts.Trace(t.Context(), System, in.Org(), "<sent@example.com>")
	if err != nil || len(answer.Causes) != 1 || answer.Causes[0].Object != id || answer.Causes[0].Personal.Text(audit.KeyMessageID) != tracedID {
		t.Errorf("causes: %+v, %v", answer.Causes, err)
	}
}

// TestAC19_SameMessageElsewhere holds that of a message that two organizations got,
// each sees its own copy, its own readers, and what those sent.
func TestAC19_SameMessageElsewhere(t *testing.T) {
	ts, in, inbox := newMailStore(t)
	id, _ := ts.arrive(t, in, inbox, tracedID)
	_, _, rec := ts.addOrg(t, "example.net", "support")
	there := ts.openInbox(t, rec)
	_, uid := ts.arrive(t, there, ts.role(t, there, RoleInbox).ID, tracedID)
	reader := newID()
	ts.sees(t, reader, newID(), there, ts.role(t, there, RoleInbox).ID, "body", UIDRange{First: uid, Last: uid})
	ts.submits(t, reader, there, id) // it names a message of the other organization
	trace, err := ts.Trace(t.Context(), System, in.Org(), tracedID)
	if err != nil || len(trace.Events) != 1 || len(trace.Sequels) != 0 {
		t.Errorf("one organization sees %q and %q of another: %v", verbs(trace.Events), verbs(trace.Sequels), err)
	}
	trace, err = ts.Trace(t.Context(), System, there.Org(), "<sent@example.com>")
	if err != nil || len(trace.Events) != 1 || len(trace.Causes) != 0 {
		t.Errorf("causes across organizations: %+v, %v", trace.Causes, err)
	}
}
