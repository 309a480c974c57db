package imapd

import (
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
)

// Poll tells the client what has happened in the selected mailbox, at the end of a command. RFC 9051, section 7.5.1:
// EXPUNGE changes what sequence numbers mean, so it is kept from commands that use them. It never fails: the command that
// it follows is done, and the library would leave it without a reply. What could not be asked is asked the next time.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.box != nil && s.box.hinted() {
		s.tell(w)
	}
	if s.box != nil && allowExpunge {
		s.tellVanished(w) // an error is the connection's, which the reply meets too
	}
	return nil
}

// tell is update, with a note of whether it must be tried again.
func (s *session) tell(w *imapserver.UpdateWriter) (ok bool) {
	err := s.update(w)
	if s.box.stale = err != nil; s.box.stale {
		s.fault(err) // for the log
	}
	return err == nil
}

// hinted reports, once, whether the mailbox may have changed, but for what this session did and knows.
func (sel *selection) hinted() bool {
	if sel.stale {
		return true
	}
	select {
	case <-sel.watch.Hint():
		return sel.watch.Count() != sel.noted
	default:
		return false
	}
}

// update asks what has changed and tells all of it but the removals, which it keeps.
func (s *session) update(w *imapserver.UpdateWriter) error {
	sel := s.box
	if sel.gone {
		return nil
	}
	noted := sel.watch.Count() // before the question, which may know more
	c, err := s.inbox.Changes(s.ctx, sel.id, sel.modseq)
	if errors.Is(err, storage.ErrNotFound) {
		// Somebody deleted the mailbox: for this session all its messages were removed (RFC 2180, section 3.3).
		sel.gone = true
		for _, u := range sel.view.each(sel.view.resolveUIDs(imap.UIDSet{{Start: 1}})) {
			sel.vanished = append(sel.vanished, uint32(u))
		}
		return nil
	}
	if err != nil {
		return err
	}
	fresh := c.New
	for len(fresh) > 0 && imap.UID(fresh[0]) <= sel.view.last() {
		fresh = fresh[1:] // from an update that was broken off
	}
	if len(fresh) > 0 {
		if err := sel.view.append(asUIDs(fresh)...); err != nil {
			return err
		}
		if err := w.WriteNumMessages(sel.view.len()); err != nil {
			return err
		}
	}
	sel.vanished = append(sel.vanished, c.Vanished...)
	if err := s.tellFlags(w, c.Flags); err != nil {
		return err
	}
	sel.modseq, sel.noted = c.Modseq, noted
	clear(sel.told)
	return nil
}

// tellFlags tells of flags that changed, but for what this session did itself and has been answered.
func (s *session) tellFlags(w *imapserver.UpdateWriter, changed []storage.MessageFlags) error {
	sel := s.box
	for _, m := range changed {
		if sel.told[m.UID] >= m.Modseq {
			continue
		}
		seq, ok := sel.view.seq(imap.UID(m.UID))
		if !ok {
			continue
		}
		if !sel.names(m.Flags) {
			if err := s.learn(); err != nil {
				return err
			}
			if err := w.WriteMailboxFlags(sel.flags()); err != nil {
				return err
			}
		}
		if err := w.WriteMessageFlags(seq, imap.UID(m.UID), asFlags(m.Flags.Names(sel.keywords))); err != nil {
			return err
		}
	}
	return nil
}

// names reports whether all of the flags have names that the client knows.
func (sel *selection) names(f storage.Flags) bool {
	return f>>(storage.FirstKeyword+len(sel.keywords)) == 0
}

// learn reads the mailbox's table of keywords, which only grows.
func (s *session) learn() error {
	box, err := s.inbox.Mailbox(s.ctx, s.box.id)
	if err != nil {
		return err
	}
	s.box.keywords = box.Keywords
	return nil
}

// tellVanished tells of removals.
func (s *session) tellVanished(w interface{ WriteExpunge(seqNum uint32) error }) error {
	sel := s.box
	if len(sel.vanished) == 0 {
		return nil
	}
	for _, n := range sel.remove(sel.vanished) {
		if err := w.WriteExpunge(n); err != nil {
			return err
		}
	}
	sel.vanished = nil
	return nil
}

// remove takes messages out of the view, and out of "$" (RFC 9051, section 6.4.4.1), and returns the numbers to say
// EXPUNGE with.
func (sel *selection) remove(uids []uint32) []uint32 {
	gone := sel.view.expunge(asUIDs(sortedUIDs(uids)))
	sel.saved = sel.view.meet(sel.saved)
	return gone
}
