package imapd

import (
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
)

// Poll tells the client what has happened in the selected mailbox, at the end of a command. RFC 9051, section 7.5.1:
// EXPUNGE changes what sequence numbers mean, so it is kept from commands that use them.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.box == nil {
		return nil
	}
	if s.box.hinted() {
		if err := s.update(w); err != nil {
			return s.fault(err)
		}
	}
	if allowExpunge {
		return s.tellVanished(w)
	}
	return nil
}

// Idle tells of changes as they come (RFC 9051, section 6.3.13) until the client is done or the session is cut. It
// writes to the connection alone: the library waits for DONE meanwhile.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	var hint <-chan struct{}
	if s.box != nil {
		hint = s.box.hint
		if err := s.Poll(w, true); err != nil {
			return err
		}
	}
	for {
		select {
		case <-stop:
			return nil
		case <-s.ctx.Done():
			<-stop // the guard says BYE, and DONE to the library
			return nil
		case <-hint:
			if err := s.update(w); err != nil {
				return s.fault(err)
			}
			if err := s.tellVanished(w); err != nil {
				return err
			}
		}
	}
}

// hinted reports, once, whether the mailbox has changed.
func (sel *selection) hinted() bool {
	select {
	case <-sel.hint:
		return true
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
	if len(c.New) > 0 {
		if err := sel.view.append(asUIDs(c.New)...); err != nil {
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
	sel.modseq = c.Modseq
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
