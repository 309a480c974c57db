package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
	"postern/storage/audit"
)

// Move is MOVE (RFC 9051, section 6.4.8): COPYUID first, since the EXPUNGE responses change what numbers mean.
func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	if err := s.may("MOVE", storage.Read|storage.Append|storage.Delete); err != nil {
		return err
	}
	if err := s.mayRemove("MOVE"); err != nil {
		return err
	}
	data, err := s.transfer("MOVE", set, dest, audit.MessageMoved, (*storage.Tx).MoveMessages)
	if err != nil || data == nil {
		return err
	}
	if err := w.WriteCopyData(data); err != nil {
		return s.fault(err)
	}
	moved, _ := data.SourceUIDs.Nums()
	gone := make([]uint32, len(moved))
	for i, u := range moved {
		gone[i] = uint32(u)
	}
	for _, n := range s.box.remove(gone) {
		if err := w.WriteExpunge(n); err != nil {
			return s.fault(err)
		}
	}
	return nil
}
