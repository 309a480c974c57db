package delivery

import (
	"postern/server/message"
	"postern/server/msgauth"
	"postern/storage"
)

// vouched is the address that provably wrote a message that nothing is said
// against, empty when there is none. For outside mail DMARC proves the domain in
// From; for mail of this server the credential does, inside one organization, and
// the gate saw to it that From is the sender's own. A null return path is a
// notice's, and makes nobody a correspondent. // PI-5
func (m *mail) vouched(t target) string {
	if m.r.From.IsNull() || len(m.structure.Envelope.From) != 1 || t.flags&storage.SenderVerified == 0 {
		return ""
	}
	if m.judgement.Verdict != storage.Clean {
		return ""
	}
	from := m.structure.Envelope.From[0]
	path, err := message.NewPath(from.Mailbox, from.Host, true)
	if err != nil {
		return ""
	}
	return path.Canonical().String()
}

// correspond notes in the inbox who wrote.
func (m *mail) correspond(tx *storage.Tx, t target) error {
	address := m.vouched(t)
	if address == "" {
		return nil
	}
	return tx.NoteReceived(t.inbox, address, true)
}

// sender is how well the inbox knows who wrote, before this message. // AU-4
func (m *mail) sender(tx *storage.Tx, t target) (storage.Sender, error) {
	switch {
	case m.origin != storage.OriginMX:
		return storage.SenderOwn, nil
	case m.auth.DMARC.Value == msgauth.Fail:
		return storage.SenderFails, nil
	case t.flags&storage.SenderVerified == 0 || len(m.structure.Envelope.From) != 1:
		return storage.SenderUnproven, nil
	}
	from := m.structure.Envelope.From[0]
	path, err := message.NewPath(from.Mailbox, from.Host, true)
	if err != nil {
		return storage.SenderUnproven, nil
	}
	known, err := tx.Correspondent(t.inbox, path.Canonical().String())
	if err != nil {
		return 0, err
	}
	if known.FirstSent.IsZero() && known.FirstReceived.IsZero() {
		return storage.SenderFirst, nil
	}
	return storage.SenderKnown, nil
}
