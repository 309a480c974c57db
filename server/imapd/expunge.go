package imapd

import (
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
	"postern/storage/audit"
)

// Expunge is EXPUNGE, UID EXPUNGE and the first half of CLOSE. Only messages that this session has been told of are
// removed: what another client marked and this one has not seen arrive stays.
func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if *w == (imapserver.ExpungeWriter{}) {
		return s.fault(s.closeMailbox())
	}
	if err := s.may("EXPUNGE", storage.Delete); err != nil {
		return err
	}
	if err := s.mayRemove("EXPUNGE"); err != nil {
		return err
	}
	set := imap.NumSet(imap.UIDSet{{Start: 1}})
	if uids != nil {
		set = *uids
	}
	gone, err := s.expunge(set)
	if err != nil {
		return s.fault(err)
	}
	for _, n := range s.box.remove(gone) {
		if err := w.WriteExpunge(n); err != nil {
			return s.fault(err)
		}
	}
	return nil
}

// closeMailbox removes what CLOSE removes, and says nothing (RFC 9051, section 6.4.1). Who may not remove leaves the
// mailbox as it is, as after EXAMINE.
func (s *session) closeMailbox() error {
	if !s.principal.May(storage.Delete) || s.box.readOnly || s.box.role == storage.RoleOutbox {
		return nil
	}
	_, err := s.expunge(imap.UIDSet{{Start: 1}})
	return err
}

// mayRemove refuses to take messages out of a mailbox that is not to be changed.
func (s *session) mayRemove(command string) error {
	switch {
	case s.box.readOnly:
		return errReadOnly
	case s.box.role == storage.RoleOutbox:
		return s.refuse(command, "outbox", errOutbox)
	}
	return nil
}

// expunge removes those of a set that are marked as deleted.
func (s *session) expunge(set imap.NumSet) (gone []uint32, err error) {
	ranges, err := s.box.view.resolve(set, s.box.saved)
	if err != nil || len(ranges) == 0 {
		return nil, err
	}
	marked, err := s.marked(ranges, storage.Deleted)
	if err != nil || len(marked) == 0 {
		return nil, err
	}
	err = s.write(func(tx *storage.Tx) error {
		gone, err = tx.Expunge(tx.Record(s.event(audit.MessageExpunged)), s.inbox, s.box.id, marked, true)
		return err
	})
	return gone, err
}

// marked finds the messages of a set that have all of the flags. An event is made for what is there to change, so it
// is looked for first; who changes it in between is caught by the transaction.
func (s *session) marked(ranges []imap.UIDRange, flags storage.Flags) (found []storage.UIDRange, err error) {
	err = s.inbox.Scan(s.ctx, s.box.id, stored(ranges), false, func(m *storage.Message) error {
		if m.Flags&flags == flags {
			found = appendUID(found, m.UID)
		}
		return nil
	})
	return found, err
}

// appendUID adds a UID above all others to ranges.
func appendUID(ranges []storage.UIDRange, uid uint32) []storage.UIDRange {
	if n := len(ranges); n > 0 && ranges[n-1].Last+1 == uid {
		ranges[n-1].Last = uid
		return ranges
	}
	return append(ranges, storage.UIDRange{First: uid, Last: uid})
}

// sortedUIDs returns UIDs in order, each once.
func sortedUIDs(uids []uint32) []uint32 {
	slices.Sort(uids)
	return slices.Compact(uids)
}
