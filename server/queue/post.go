package queue

import (
	"context"
	"fmt"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// Post prepares a notice of this server for an address outside: a row of the
// queue with the null return path, so that nothing answers it (RFC 3834, section
// 4), and of no agent, so that the freeze of one does not keep word of it. The
// inbox is that in whose name it goes: its key seals the row, its domain signs.
func (q *Queue) Post(_ context.Context, n Notice) (Report, error) {
	stage := q.store.Stage()
	_, err := stage.Write(n.Data)
	if err == nil {
		err = stage.Finish()
	}
	if err != nil {
		stage.Discard()
		return Report{}, err
	}
	sum := stage.SHA256()
	store := func(tx *storage.Tx) error {
		body, err := tx.AddBody(stage)
		if err != nil {
			return err
		}
		o := storage.Outgoing{
			Head: storage.Head{Org: n.Org}, Inbox: n.Inbox, Message: storage.NewID(), State: storage.OutgoingQueued,
			To: n.To.String(), MessageID: n.MessageID, UTF8: !n.To.IsASCII(), EightBit: !n.To.IsASCII(),
			SHA256: sum[:], Expires: tx.Now().Add(Expiry),
		}
		e := tx.Record(audit.Event{Verb: audit.NoticeQueued, Outcome: audit.OK, Org: n.Org, Inbox: n.Inbox, Object: o.Message,
			Fields:   audit.Fields{audit.Int(audit.KeySize, stage.Size()), audit.Digest(audit.KeySHA256, sum[:])},
			Personal: audit.Fields{audit.Text(audit.KeyTo, o.To), audit.Text(audit.KeyMessageID, o.MessageID)}})
		if err := tx.CreateOutgoing(e, &o, body, message.CanonicalDomain(n.To.Domain)); err != nil {
			return fmt.Errorf("queue: a notice: %w", err)
		}
		return nil
	}
	return Report{Store: store, Discard: stage.Discard}, nil
}
