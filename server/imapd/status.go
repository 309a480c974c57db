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
	return status(&box, o, s.server.limits.Message)
}

// status fills in all that can be asked for; the library writes what was.
func status(box *storage.Mailbox, o *imap.StatusOptions, largest int64) (*imap.StatusData, error) {
	if o.DeletedStorage {
		return nil, bad("DELETED-STORAGE belongs to QUOTA, which is not offered")
	}
	limit, recent := appendLimit(largest), uint32(0)
	return &imap.StatusData{
		Mailbox: box.Name, UIDNext: imap.UID(box.UIDNext), UIDValidity: box.UIDValidity,
		NumMessages: &box.Messages, NumUnseen: &box.Unseen, NumDeleted: &box.Deleted, Size: &box.Bytes,
		NumRecent: &recent, AppendLimit: &limit,
	}, nil
}
