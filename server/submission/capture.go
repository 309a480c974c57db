package submission

import (
	"context"
	"errors"

	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// captures says which recipients of a message are kept here and never written to:
// those of a test login, but for the test inboxes of its own organization. An
// address outside, a live inbox and one that does not exist are the same to the
// sender, who is told yes. // AC-14, AC-5
//
// The other way round nothing is captured: a test inbox gets mail from a live
// login as it does from outside. What test and live must not share is what a
// credential opens, and what a test does to the world; not what a test may be
// shown.
func (o *Outbound) captures(ctx context.Context, m *submission) ([]bool, error) {
	p := m.s.Principal
	captured := make([]bool, len(m.s.To))
	if p.Inbox.Env() != storage.Test {
		return captured, nil
	}
	for i, path := range m.s.To {
		in, err := o.dir.Recipient(ctx, path)
		unknown := errors.Is(err, directory.ErrNotLocal) || errors.Is(err, directory.ErrNoSuchInbox) || errors.Is(err, storage.ErrNotFound)
		if err != nil && !unknown {
			return nil, err
		}
		captured[i] = unknown || in.Env != storage.Test || in.Org != p.Credential.Org
	}
	return captured, nil
}

// capture stores, in the transaction of the submission, what is not sent.
func (o *Outbound) capture(tx *storage.Tx, m *submission, body storage.BodyRef) error {
	var to []message.Path
	for i, path := range m.s.To {
		if m.captured[i] {
			to = append(to, path)
		}
	}
	if len(to) == 0 {
		return nil
	}
	p := m.s.Principal
	e := tx.Record(audit.Event{
		Verb: audit.MessageCaptured, Outcome: audit.OK,
		Org: p.Credential.Org, Agent: p.Agent.ID, Credential: p.Credential.ID, Inbox: p.Inbox.ID(), Object: m.id,
		Fields: audit.Fields{audit.Word(audit.KeyEnvironment, string(storage.Test)), audit.Int(audit.KeyRecipients, len(to)),
			audit.Digest(audit.KeySHA256, m.sent.SHA256[:])},
		Personal: audit.Fields{audit.Text(audit.KeyFrom, m.s.From.String()), audit.Text(audit.KeyMessageID, m.message)},
	})
	for _, path := range to {
		e.Personal = append(e.Personal, audit.Text(audit.KeyTo, path.String()))
		row := storage.Captured{
			Head: storage.Head{Org: p.Credential.Org}, Inbox: p.Inbox.ID(), Message: m.id,
			Agent: p.Agent.ID, Credential: p.Credential.ID,
			From: m.s.From.String(), To: path.String(), MessageID: m.message, SHA256: m.sent.SHA256[:],
		}
		if err := tx.Capture(e, &row, body); err != nil {
			return err
		}
	}
	return nil
}
