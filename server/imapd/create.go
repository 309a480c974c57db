package imapd

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"postern/storage"
	"postern/storage/audit"
)

// Create is CREATE. RFC 9051, section 6.3.4: a delimiter at the end says that there will be mailboxes below, which makes
// no difference to us; missing superiors are made too.
func (s *session) Create(name string, o *imap.CreateOptions) error {
	if err := s.may("CREATE", storage.Append); err != nil {
		return err
	}
	if len(o.SpecialUse) > 0 {
		return no(imap.ResponseCodeCannot, "The special uses of an inbox are given already")
	}
	name = strings.TrimSuffix(name, storage.Delimiter)
	missing, err := s.missingAbove(name)
	if err != nil {
		return s.fault(err)
	}
	return s.fault(s.write(func(tx *storage.Tx) error { return s.createAll(tx, append(missing, name)) }))
}

// missingAbove lists the superiors of a name that are not there. They are made with it, so that there is no name without
// a mailbox.
func (s *session) missingAbove(name string) (missing []string, err error) {
	up := superiors(name)
	if len(up) == 0 {
		return nil, nil
	}
	all, err := s.mailboxes()
	for _, parent := range up {
		if !slices.ContainsFunc(all, func(b storage.Mailbox) bool { return pattern(b.Name) == foldInbox(parent) }) {
			missing = append(missing, parent)
		}
	}
	return missing, err
}

func (s *session) createAll(tx *storage.Tx, names []string) error {
	for _, name := range names {
		if _, err := tx.CreateMailbox(tx.Record(s.event(audit.MailboxCreate)), s.inbox, name, storage.RoleNone); err != nil {
			return err
		}
	}
	return nil
}

// Delete is DELETE. A mailbox with others below it stays (RFC 5530, HASCHILDREN), as do those with a role.
func (s *session) Delete(name string) error {
	if err := s.may("DELETE", storage.Delete); err != nil {
		return err
	}
	box, err := s.mailbox(name)
	if err != nil {
		return s.fault(err)
	}
	if box.Role != storage.RoleNone {
		return no(imap.ResponseCodeCannot, "This mailbox belongs to the inbox and cannot be deleted")
	}
	all, err := s.mailboxes()
	if err != nil {
		return s.fault(err)
	}
	if slices.ContainsFunc(all, func(b storage.Mailbox) bool { return below(b.Name, box.Name) }) {
		return no(imap.ResponseCodeHasChildren, "There are mailboxes below this one")
	}
	return s.fault(s.write(func(tx *storage.Tx) error {
		return tx.DeleteMailbox(tx.Record(s.event(audit.MailboxDelete)), s.inbox, box.ID)
	}))
}

// Rename is RENAME. It takes what is below along; that of INBOX moves its messages (RFC 9051, section 6.3.6).
func (s *session) Rename(name, to string, _ *imap.RenameOptions) error {
	if err := s.may("RENAME", storage.Append|storage.Delete); err != nil {
		return err
	}
	box, err := s.mailbox(name)
	if err != nil {
		return s.fault(err)
	}
	to = strings.TrimSuffix(to, storage.Delimiter)
	if box.Role == storage.RoleOutbox {
		return s.refuse("RENAME", "outbox", errOutbox)
	}
	if below(to, box.Name) && box.Role != storage.RoleInbox {
		return no(imap.ResponseCodeCannot, "A mailbox cannot be moved below itself")
	}
	missing, err := s.missingAbove(to)
	if err != nil {
		return s.fault(err)
	}
	return s.fault(s.write(func(tx *storage.Tx) error {
		if err := s.createAll(tx, missing); err != nil {
			return err
		}
		return tx.RenameMailbox(tx.Record(s.event(audit.MailboxRename)), s.inbox, box.ID, to)
	}))
}

// Subscribe is SUBSCRIBE. Subscriptions are marks on mailboxes, so who may flag may change them.
func (s *session) Subscribe(name string) error { return s.subscribe("SUBSCRIBE", name, true) }

// Unsubscribe is UNSUBSCRIBE.
func (s *session) Unsubscribe(name string) error { return s.subscribe("UNSUBSCRIBE", name, false) }

func (s *session) subscribe(command, name string, on bool) error {
	if err := s.may(command, storage.Flag); err != nil {
		return err
	}
	box, err := s.mailbox(name)
	if err != nil {
		return s.fault(err)
	}
	verb := audit.MailboxUnsubscribe
	if on {
		verb = audit.MailboxSubscribe
	}
	if box.Subscribed == on {
		return nil
	}
	err = s.write(func(tx *storage.Tx) error {
		return tx.SetSubscribed(tx.Record(s.event(verb)), s.inbox, box.ID, on)
	})
	return s.fault(err)
}
