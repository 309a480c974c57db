package storage

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Bounds of a trace. What lies beyond is left out, and the trace says so.
const (
	maxTraced  = 10_000  // events of a trace
	maxVisited = 200_000 // events of one inbox that are looked at for it
	tracePage  = 1000    // events of one short read
)

// Trace is the history of a message: how it came or was submitted, each attempt
// to hand it on, where it was stored, and who read, flagged, moved or removed
// it there.
type Trace struct {
	MessageID string
	Events    []audit.Event // in sequence; none when the organization has no such message
	Truncated bool          // there was more than a trace holds

	// Events of other messages, in sequence.
	Causes  []audit.Event // how the messages came that this one answers or quotes
	Before  []audit.Event // what its agent read before it sent
	Sequels []audit.Event // what agents that read it submitted next
}

// Trace puts together the history of the messages of an organization that have a
// Message-ID, written with its angle brackets, and records in each inbox
// concerned that the actor looked at it. // AU-2
//
// Events that carry the Message-ID are found by its keyed hash, those of the
// queue by the message's id, and those of a mailbox by following the message's
// UID there, through copies and moves.
func (s *Store) Trace(ctx context.Context, actor audit.Actor, org uuid.UUID, messageID string) (*Trace, error) {
	t := &tracer{store: s, org: org, found: map[uint64]audit.Event{}}
	t.MessageID = messageID
	if err := t.collect(ctx); err != nil {
		return nil, err
	}
	t.Events = bySeq(t.found)
	if err := t.relate(ctx); err != nil {
		return nil, err
	}
	if err := t.record(ctx, actor); err != nil {
		return nil, err
	}
	return &t.Trace, nil
}

func bySeq(events map[uint64]audit.Event) []audit.Event {
	return slices.SortedFunc(maps.Values(events), func(a, b audit.Event) int { return cmp.Compare(a.Seq, b.Seq) })
}

// tracer is a trace being put together.
type tracer struct {
	Trace
	store *Store
	org   uuid.UUID
	found map[uint64]audit.Event
}

func (t *tracer) collect(ctx context.Context) error {
	err := t.gather(ctx, EventQuery{Org: t.org, MessageID: t.MessageID})
	if err != nil {
		return err
	}
	for _, id := range t.ids(func(e *audit.Event) uuid.UUID { return e.Object }) {
		if err := t.gather(ctx, EventQuery{Org: t.org, Object: id}); err != nil {
			return err
		}
	}
	for _, inbox := range t.ids(func(e *audit.Event) uuid.UUID { return e.Inbox }) {
		if err := t.follow(ctx, inbox); err != nil {
			return err
		}
	}
	return nil
}

// ids are the different ids of one kind in what was found.
func (t *tracer) ids(of func(*audit.Event) uuid.UUID) []uuid.UUID {
	all := map[uuid.UUID]bool{}
	for _, e := range t.found {
		all[of(&e)] = true
	}
	delete(all, uuid.Nil)
	return slices.SortedFunc(maps.Keys(all), func(a, b uuid.UUID) int { return cmp.Compare(a.String(), b.String()) })
}

// gather adds all events of a query.
func (t *tracer) gather(ctx context.Context, q EventQuery) error {
	return t.each(ctx, q, func(e *audit.Event) bool { return t.add(e) })
}

// add takes an event, unless the trace is full.
func (t *tracer) add(e *audit.Event) bool {
	if _, known := t.found[e.Seq]; !known && len(t.found) == maxTraced {
		t.Truncated = true
		return false
	}
	t.found[e.Seq] = *e
	return true
}

// each reads the events of a query page by page, until fn has enough.
func (t *tracer) each(ctx context.Context, q EventQuery, fn func(*audit.Event) bool) error {
	q.Limit = tracePage
	for visited := 0; ; visited += tracePage {
		events, err := t.store.Events(ctx, q)
		if err != nil {
			return err
		}
		for i := range events {
			if !fn(&events[i]) {
				return nil
			}
			q.From = events[i].Seq + 1
		}
		if len(events) < tracePage {
			return nil
		}
		if visited >= maxVisited {
			t.Truncated = true
			return nil
		}
	}
}

// whereabouts are the events that say what became of messages in mailboxes.
var whereabouts = []audit.Verb{
	audit.MessageReceived, audit.MessageSubmitted, audit.MessageAppended, audit.NoticeDelivered,
	audit.MessageRead, audit.MessageSearched, audit.MessageFlagged, audit.MessageCopied, audit.MessageMoved,
	audit.MessageExpunged, audit.MailboxRename, audit.MailboxDelete,
	audit.ApprovalRelease, audit.ApprovalReject, audit.ApprovalExpire, // which take the copy out of Outbox
	audit.QuarantineRelease, audit.QuarantineReject,
}

// follow walks through the events of an inbox, knowing at each which UIDs in
// which mailbox are the message. A notice that answers the message belongs to it;
// it stands in the log right after the failure that it tells of.
func (t *tracer) follow(ctx context.Context, inbox uuid.UUID) error {
	first, last := t.stored(inbox)
	at := places{}
	q := EventQuery{Org: t.org, Inbox: inbox, Verbs: whereabouts, From: first}
	return t.each(ctx, q, func(e *audit.Event) bool {
		if _, ours := t.found[e.Seq]; ours {
			at.put(e)
			at.passed(e) // a decision of people takes the copy out of Outbox
			return true
		}
		answers := e.Verb == audit.NoticeDelivered && e.Personal.Text(audit.KeyInReplyTo) == t.MessageID
		if (answers || at.passed(e)) && !t.add(e) {
			return false
		}
		return len(at) > 0 || e.Seq < last
	})
}

// stored is between which events the message came into an inbox.
func (t *tracer) stored(inbox uuid.UUID) (first, last uint64) {
	first = ^uint64(0) >> 1
	for seq, e := range t.found {
		if e.Inbox == inbox {
			first, last = min(first, seq), max(last, seq)
		}
	}
	return first, last
}

// places are the UIDs that are the message, by mailbox.
type places map[uuid.UUID]audit.UIDs

// put notes where an event stored the message.
func (p places) put(e *audit.Event) {
	uid, ok := e.Fields.Int(audit.KeyUID)
	if !ok || e.Mailbox == uuid.Nil {
		return
	}
	p.add(e.Mailbox, uint32(uid))
}

func (p places) add(mailbox uuid.UUID, uid uint32) {
	s := p[mailbox]
	s.Add(uid, uid)
	p[mailbox] = s
}

// passed reports whether an event is about the message, and follows it to where
// that event took it.
func (p places) passed(e *audit.Event) bool {
	here := p[e.Mailbox]
	if len(here) == 0 {
		return false
	}
	uids, named := e.Fields.UIDs(audit.KeyUIDs)
	switch {
	case e.Verb == audit.MailboxDelete:
		delete(p, e.Mailbox)
		return true
	case !named:
		return false
	}
	both := here.Minus(here.Minus(uids))
	if len(both) == 0 {
		return false
	}
	to, moved := e.Fields.ID(audit.KeyToMailbox)
	if moved {
		dst, _ := e.Fields.UIDs(audit.KeyToUIDs)
		for _, r := range both {
			for uid := r.First; uid >= r.First && uid <= r.Last; uid++ { // ends at the last UID there is
				p.add(to, nth(dst, rank(uids, uid)))
			}
		}
	}
	if e.Verb == audit.MessageExpunged || e.Verb == audit.QuarantineReject || moved && e.Verb != audit.MessageCopied {
		p.remove(e.Mailbox, both)
	}
	return true
}

func (p places) remove(mailbox uuid.UUID, gone audit.UIDs) {
	if rest := p[mailbox].Minus(gone); len(rest) > 0 {
		p[mailbox] = rest
		return
	}
	delete(p, mailbox)
}

// rank is how many UIDs of a set are below uid, and nth the UID with that many
// below it: so the two sets of a copy or move pair.
func rank(s audit.UIDs, uid uint32) (n uint64) {
	for _, r := range s {
		if uid <= r.Last {
			return n + uint64(uid-r.First)
		}
		n += uint64(r.Last-r.First) + 1
	}
	return n
}

func nth(s audit.UIDs, n uint64) uint32 {
	for _, r := range s {
		size := uint64(r.Last-r.First) + 1
		if n < size {
			return r.First + uint32(n)
		}
		n -= size
	}
	return 0
}

// record says in the log that the history was looked at: once in each inbox that
// has a part in it, under whose key the Message-ID is then sealed, or in the
// organization when nothing was found.
func (t *tracer) record(ctx context.Context, actor audit.Actor) error {
	all := t.ids(func(e *audit.Event) uuid.UUID { return e.Inbox })
	for _, events := range [][]audit.Event{t.Causes, t.Before, t.Sequels} {
		for i := range events {
			all = append(all, events[i].Inbox)
		}
	}
	slices.SortFunc(all, func(a, b uuid.UUID) int { return cmp.Compare(a.String(), b.String()) })
	inboxes := slices.DeleteFunc(slices.Compact(all), func(id uuid.UUID) bool { return id == uuid.Nil })
	if len(inboxes) == 0 {
		inboxes = []uuid.UUID{uuid.Nil}
	}
	return t.store.Write(ctx, actor, func(tx *Tx) error {
		for _, inbox := range inboxes {
			tx.Record(audit.Event{
				Verb: audit.MessageTraced, Org: t.org, Inbox: inbox,
				Fields:   audit.Fields{audit.Int(audit.KeyCount, len(t.found))},
				Personal: audit.Fields{audit.Text(audit.KeyMessageID, t.MessageID)},
			})
		}
		return nil
	})
}
