package imapd

import (
	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// Select is SELECT and EXAMINE.
func (s *session) Select(name string, o *imap.SelectOptions) (*imap.SelectData, error) {
	if err := s.may("SELECT", storage.Read); err != nil {
		return nil, err
	}
	box, err := s.mailbox(name)
	if err != nil {
		return nil, s.fault(err)
	}
	readOnly := o.ReadOnly || !s.principal.May(storage.Flag) && !s.principal.May(storage.Delete)
	sel := &selection{id: box.ID, role: box.Role, readOnly: readOnly, told: map[uint32]uint64{}, keywords: box.Keywords}
	// The hints begin before the list is read, so that nothing falls between the two.
	sel.watch = s.inbox.Watch(box.ID)
	if err := s.list(sel, &box); err != nil {
		sel.watch.Stop()
		return nil, s.fault(err)
	}
	s.box = sel
	if readOnly && !o.ReadOnly {
		s.guard.out.noteReadOnly()
	}
	data := &imap.SelectData{
		Flags: sel.flags(), PermanentFlags: s.permanent(sel),
		NumMessages: sel.view.len(), UIDNext: imap.UID(box.UIDNext), UIDValidity: box.UIDValidity,
	}
	if s.conn.EnabledCaps().Has(imap.CapIMAP4rev2) {
		data.List = &imap.ListData{Mailbox: box.Name, Delim: delimiter} // RFC 9051, section 6.3.2
	}
	return data, nil
}

// list makes the view of a mailbox that was just read. Where as many messages are there as UIDs were ever given, the
// counters have said it all; that is so in most mailboxes, and saves reading a row for each message.
func (s *session) list(sel *selection, box *storage.Mailbox) error {
	sel.modseq = box.Modseq
	switch box.Messages {
	case 0:
		return nil
	case box.UIDNext - 1:
		return sel.view.appendRange(1, imap.UID(box.UIDNext-1))
	}
	uids, modseq, err := s.inbox.UIDs(s.ctx, box.ID)
	if err != nil {
		return err
	}
	sel.modseq = modseq
	return sel.view.append(asUIDs(uids)...)
}

// Unselect closes the mailbox without expunging.
func (s *session) Unselect() error {
	s.leave()
	return nil
}

// leave lets go of the selected mailbox, if there is one.
func (s *session) leave() {
	if s.box != nil {
		s.box.watch.Stop()
		s.box = nil
	}
}

func asUIDs(uids []uint32) []imap.UID {
	out := make([]imap.UID, len(uids))
	for i, u := range uids {
		out[i] = imap.UID(u)
	}
	return out
}

// stored turns ranges of a view into those of the store.
func stored(ranges []imap.UIDRange) []storage.UIDRange {
	out := make([]storage.UIDRange, len(ranges))
	for i, r := range ranges {
		out[i] = storage.UIDRange{First: uint32(r.Start), Last: uint32(r.Stop)}
	}
	return out
}

// size is how many messages are in ranges.
func size(ranges []imap.UIDRange) (n int64) {
	for _, r := range ranges {
		n += int64(r.Stop-r.Start) + 1
	}
	return n
}
