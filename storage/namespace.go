package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// CreateMailboxes makes the standard mailboxes of a new inbox, all but the
// quarantine subscribed.
func (tx *Tx) CreateMailboxes(e *audit.Event, rec *InboxRecord) error {
	keys, err := tx.store().inboxKeysOf(context.Background(), rec.Org, rec.ID)
	if err != nil {
		return err
	}
	in := &Inbox{store: tx.store(), record: *rec, keys: keys}
	for _, std := range standardMailboxes {
		if _, err := tx.addMailbox(e, in, std.name, std.role, std.role != RoleQuarantine); err != nil {
			return err
		}
	}
	tx.changed(in, uuid.Nil)
	return nil
}

// CreateMailbox makes a mailbox. Its UIDVALIDITY is higher than that of any
// mailbox that the inbox ever had. ErrName when the name will not do,
// ErrConflict when it is taken, ErrLimit when there are MaxMailboxes.
func (tx *Tx) CreateMailbox(e *audit.Event, in *Inbox, name string, role Role) (Mailbox, error) {
	name, err := mailboxName(name)
	if err != nil {
		return Mailbox{}, err
	}
	m, err := tx.addMailbox(e, in, name, role, false)
	if err != nil {
		return Mailbox{}, err
	}
	if err := tx.concerns(e, in, m.ID); err != nil {
		return Mailbox{}, err
	}
	e.Fields = append(e.Fields, audit.Word(audit.KeyMailboxRole, role.String()), audit.Int(audit.KeyUIDValidity, m.UIDValidity))
	e.Personal = append(e.Personal, audit.Text(audit.KeyName, name))
	tx.changed(in, m.ID)
	return m, nil
}

func (tx *Tx) addMailbox(e *audit.Event, in *Inbox, name string, role Role, subscribed bool) (Mailbox, error) {
	var count int
	if err := tx.row("SELECT COUNT(*) FROM mailbox WHERE inbox = $1", in.record.ID[:]).Scan(&count); err != nil {
		return Mailbox{}, classify(err)
	}
	if count >= MaxMailboxes {
		return Mailbox{}, fmt.Errorf("%w: %d mailboxes", ErrLimit, count)
	}
	var no int64
	if err := tx.row("SELECT COALESCE(MAX(no), 0) + 1 FROM mailbox").Scan(&no); err != nil {
		return Mailbox{}, classify(err)
	}
	validity, err := tx.nextUIDValidity(in)
	if err != nil {
		return Mailbox{}, err
	}
	m := Mailbox{ID: newID(), no: no, Inbox: in.record.ID, Org: in.record.Org, Name: name, Role: role, Subscribed: subscribed,
		UIDValidity: validity, UIDNext: 1, Modseq: 1}
	sealed, err := tx.sealMailbox(e, in, &m)
	if err != nil {
		return Mailbox{}, err
	}
	return m, tx.exec(`INSERT INTO mailbox (id, no, inbox, org, version, event, name_hash, role, uidvalidity, uidnext, modseq, messages, unseen, deleted, bytes, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, 1, 0, 0, 0, 0, $10)`,
		m.ID[:], no, m.Inbox[:], m.Org[:], m.version, m.event[:], in.nameHash(name, role), role, validity, sealed)
}

// nextUIDValidity is the time in seconds, or one more than the last of the
// inbox when that is not higher (RFC 9051, section 2.3.1.1): a mailbox that is
// made again within a second, or under a clock that was set back, still differs
// from what a client remembers.
func (tx *Tx) nextUIDValidity(in *Inbox) (validity uint32, err error) {
	err = tx.row(`INSERT INTO uid_validity (inbox, last) VALUES ($1, $2) ON CONFLICT (inbox) DO UPDATE
		SET last = CASE WHEN excluded.last > uid_validity.last THEN excluded.last ELSE uid_validity.last + 1 END RETURNING last`,
		in.record.ID[:], max(tx.now.Unix(), 1)).Scan(&validity)
	return validity, classify(err)
}

// sealMailbox gives the mailbox's record its next version under event e and
// notes the write there.
func (tx *Tx) sealMailbox(e *audit.Event, in *Inbox, m *Mailbox) ([]byte, error) {
	plain, err := json.Marshal(mailboxRecord{m.Inbox, m.no, m.Name, m.Role, m.UIDValidity, m.Subscribed, m.Keywords})
	if err != nil {
		return nil, err
	}
	m.version++
	m.event = e.ID
	sealed := in.keys.metadata.Seal(plain, in.mailboxIdentity(m))
	tx.wrote(e, "mailbox", m.ID[:], m.version, sealed)
	return sealed, nil
}

// updateMailbox writes the sealed part of a mailbox.
func (tx *Tx) updateMailbox(e *audit.Event, in *Inbox, m *Mailbox) error {
	sealed, err := tx.sealMailbox(e, in, m)
	if err != nil {
		return err
	}
	return tx.exec("UPDATE mailbox SET version = $1, event = $2, name_hash = $3, sealed = $4 WHERE inbox = $5 AND id = $6",
		m.version, m.event[:], in.nameHash(m.Name, m.Role), sealed, m.Inbox[:], m.ID[:])
}

// RenameMailbox gives a mailbox, and those below it, another name. ErrConflict
// when a name is taken or would lie below the mailbox itself. Renaming INBOX
// moves its messages to a new mailbox of that name and leaves INBOX, and what
// is below it, in place (RFC 9051, section 6.3.6).
func (tx *Tx) RenameMailbox(e *audit.Event, in *Inbox, mailbox uuid.UUID, name string) error {
	name, err := mailboxName(name)
	if err != nil {
		return err
	}
	m, err := in.mailbox(tx, mailbox)
	if err != nil {
		return err
	}
	if err := tx.concerns(e, in, mailbox); err != nil {
		return err
	}
	if name == m.Name || strings.HasPrefix(name, m.Name+Delimiter) && m.Role != RoleInbox {
		return fmt.Errorf("%w: the new name lies below the old one", ErrConflict)
	}
	e.Personal = append(e.Personal, audit.Text(audit.KeyBefore, m.Name), audit.Text(audit.KeyAfter, name))
	if m.Role == RoleInbox {
		return tx.renameInbox(e, in, m, name)
	}
	all, err := in.mailboxes(tx)
	if err != nil {
		return err
	}
	for _, b := range all {
		rest, below := strings.CutPrefix(b.Name, m.Name+Delimiter)
		switch {
		case b.ID == m.ID:
			b.Name = name
		case below && b.Role != RoleQuarantine:
			b.Name = name + Delimiter + rest
		default:
			continue
		}
		if len(b.Name) > MaxMailboxName {
			return fmt.Errorf("%w: too long", ErrName)
		}
		if err := tx.updateMailbox(e, in, &b); err != nil {
			return err
		}
		tx.changed(in, b.ID)
	}
	return nil
}

func (tx *Tx) renameInbox(e *audit.Event, in *Inbox, from Mailbox, name string) error {
	to, err := tx.addMailbox(e, in, name, RoleNone, from.Subscribed)
	if err != nil {
		return err
	}
	_, _, err = tx.MoveMessages(e, in, from.ID, allUIDs, to.ID)
	return err
}

// DeleteMailbox removes a mailbox and its messages; those below it stay.
// ErrConflict for a mailbox that has a role.
func (tx *Tx) DeleteMailbox(e *audit.Event, in *Inbox, mailbox uuid.UUID) error {
	m, err := in.mailbox(tx, mailbox)
	if err != nil {
		return err
	}
	if m.Role != RoleNone {
		return fmt.Errorf("%w: a mailbox with a role cannot be deleted", ErrConflict)
	}
	if err := tx.concerns(e, in, mailbox); err != nil {
		return err
	}
	e.Fields = append(e.Fields, audit.Int(audit.KeyCount, m.Messages))
	e.Personal = append(e.Personal, audit.Text(audit.KeyName, m.Name))
	return tx.dropMailbox(e, in, m)
}

// dropMailbox deletes all rows of a mailbox.
func (tx *Tx) dropMailbox(e *audit.Event, in *Inbox, m Mailbox) error {
	gone, err := tx.marked(m.no, allUIDs, 0)
	if err != nil {
		return err
	}
	for _, g := range gone {
		if err := tx.DropBody(g.body); err != nil {
			return err
		}
	}
	if err := tx.deleteMessages(m.no, allUIDs[0]); err != nil {
		return err
	}
	tx.wrote(e, "mailbox", m.ID[:], m.version+1, nil)
	tx.changed(in, m.ID)
	return tx.deleteMailboxRows(m.ID)
}

// deleteMailboxRows deletes what is stored of a mailbox without messages.
func (tx *Tx) deleteMailboxRows(mailbox uuid.UUID) error {
	for _, query := range []string{
		"DELETE FROM vanished WHERE mailbox = $1",
		"DELETE FROM read_range WHERE mailbox = $1",
		"DELETE FROM mailbox WHERE id = $1",
	} {
		if err := tx.exec(query, mailbox[:]); err != nil {
			return err
		}
	}
	return nil
}

// SetSubscribed records whether clients list the mailbox among those that they
// are subscribed to. It returns without a change when that is so already.
func (tx *Tx) SetSubscribed(e *audit.Event, in *Inbox, mailbox uuid.UUID, subscribed bool) error {
	m, err := in.mailbox(tx, mailbox)
	if err != nil {
		return err
	}
	if err := tx.concerns(e, in, mailbox); err != nil || m.Subscribed == subscribed {
		return err
	}
	m.Subscribed = subscribed
	e.Personal = append(e.Personal, audit.Text(audit.KeyName, m.Name))
	return tx.updateMailbox(e, in, &m)
}
