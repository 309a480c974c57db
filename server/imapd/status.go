package imapd

import (
	"github.com/emersion/go-imap/v2"

	"postern/storage"
)

// Status is STATUS: the counters of a mailbox, which are kept in its row.
func (s *session) Status(name string, o *imap.StatusOptions) (*imap.StatusData, error) {
	if err := s.may("STATUS", storage.Read); err != nil {
		return nil, err
	}
	box, err := s.mailbox(name)
	if err != nil {
		return nil, s.fault(err)
	}
	return s.status(&box, o)
}

// status fills in all that can be asked for; the library writes what was.
func (s *session) status(box *storage.Mailbox, o *imap.StatusOptions) (*imap.StatusData, error) {
	if o.DeletedStorage {
		return nil, bad("DELETED-STORAGE belongs to QUOTA, which is not offered")
	}
	limit, recent, bytes := appendLimit(s.server.limits.Message), uint32(0), box.Bytes
	if o.Size && s.principal.Credential.Safe() { // CO-6: the sum says something of what is not shown
		if err := s.rendered(box.ID, everything); err != nil {
			return nil, s.fault(err)
		}
		var err error
		if bytes, err = s.inbox.RenditionBytes(s.ctx, box.ID); err != nil {
			return nil, s.fault(err)
		}
	}
	return &imap.StatusData{
		Mailbox: box.Name, UIDNext: imap.UID(box.UIDNext), UIDValidity: box.UIDValidity,
		NumMessages: &box.Messages, NumUnseen: &box.Unseen, NumDeleted: &box.Deleted, Size: &bytes,
		NumRecent: &recent, AppendLimit: &limit,
	}, nil
}
