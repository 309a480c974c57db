package storage

import (
	"context"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// arrivals are the events that store a message for the first time.
var arrivals = []audit.Verb{audit.MessageReceived, audit.MessageSubmitted, audit.MessageAppended, audit.NoticeDelivered}

// maxArrivals is how many arrivals of one Message-ID in one inbox are looked at.
const maxArrivals = 8

// Arrivals are the events by which messages with a Message-ID, written with its
// angle brackets, were stored in the inbox: received, submitted from it, put there.
// They are in sequence, and at most 8: nobody has an interest in more but one who
// sends the same again and again.
func (in *Inbox) Arrivals(ctx context.Context, messageID string) ([]audit.Event, error) {
	q := EventQuery{Org: in.record.Org, Inbox: in.record.ID, Verbs: arrivals, Limit: maxArrivals}
	events, err := in.store.selectEvents(ctx, q, [][]byte{in.keys.messageID(messageID)})
	if err != nil {
		return nil, err
	}
	same := events[:0]
	for i := range events {
		if events[i].Personal.Text(audit.KeyMessageID) == messageID {
			same = append(same, events[i])
		}
	}
	return same, nil
}

// Readers says who saw a message that came into the inbox by an arrival, or a copy
// of it in whatever mailbox: the agents, with the event that showed it last. It
// follows the message through copies and moves; whole is false when too much
// happened in the inbox since to follow it to the end, so that one who is not in
// the answer may have seen it all the same.
func (in *Inbox) Readers(ctx context.Context, arrival *audit.Event) (readers map[uuid.UUID]audit.Event, whole bool, err error) {
	at, readers := places{}, map[uuid.UUID]audit.Event{}
	at.put(arrival)
	q := EventQuery{Org: in.record.Org, Inbox: in.record.ID, Verbs: whereabouts, From: arrival.Seq + 1, Limit: tracePage}
	events, err := in.store.Events(ctx, q)
	if err != nil {
		return nil, false, err
	}
	for i := range events {
		e := &events[i]
		if at.passed(e) && (e.Verb == audit.MessageRead || e.Verb == audit.MessageSearched) && e.Agent != uuid.Nil {
			readers[e.Agent] = *e
		}
	}
	return readers, len(events) < tracePage || len(at) == 0, nil
}

// Whereabouts says where a message that stood in a mailbox when the event since
// was written stands now. ErrNotFound when it is gone, or when too much happened
// in the inbox to follow it.
func (in *Inbox) Whereabouts(ctx context.Context, mailbox uuid.UUID, uid uint32, since uint64) (uuid.UUID, uint32, error) {
	at := places{}
	at.add(mailbox, uid)
	q := EventQuery{Org: in.record.Org, Inbox: in.record.ID, Verbs: departures, From: since, Limit: tracePage}
	events, err := in.store.Events(ctx, q)
	if err != nil {
		return uuid.Nil, 0, err
	}
	for i := range events {
		at.passed(&events[i])
	}
	for mailbox, uids := range at {
		if len(events) < tracePage && len(uids) > 0 {
			return mailbox, uids[0].First, nil
		}
	}
	return uuid.Nil, 0, ErrNotFound
}

// departures are the events by which a message leaves where it stood.
var departures = []audit.Verb{audit.MessageCopied, audit.MessageMoved, audit.MessageExpunged, audit.MailboxRename, audit.MailboxDelete,
	audit.QuarantineRelease, audit.QuarantineReject}
