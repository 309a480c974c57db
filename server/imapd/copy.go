package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// Copy is COPY. Contents, flags, dates and verdicts come along (invariant 5).
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	if err := s.may("COPY", storage.Read|storage.Append); err != nil {
		return nil, err
	}
	if err := s.server.store.Room(); err != nil {
		return nil, s.fault(err)
	}
	return s.transfer("COPY", set, dest, audit.MessageCopied, (*storage.Tx).CopyMessages)
}

// transfer copies or moves messages to another mailbox. It returns nil when there were none.
func (s *session) transfer(command string, set imap.NumSet, dest string, verb audit.Verb, how transferring) (*imap.CopyData, error) {
	to, err := s.mailbox(dest)
	if err != nil {
		return nil, s.fault(into(err))
	}
	// Nor does anything come out: a copy would say for ever that it waits.
	if to.Role == storage.RoleOutbox || s.box.role == storage.RoleOutbox {
		return nil, s.refuse(command, "outbox", errOutbox)
	}
	ranges, err := s.box.view.resolve(set, s.box.saved)
	if err != nil {
		return nil, s.fault(err)
	}
	present, err := s.marked(ranges, 0)
	if err != nil || len(present) == 0 {
		return nil, s.fault(err)
	}
	var src, dst []uint32
	err = s.write(func(tx *storage.Tx) error {
		src, dst, err = how(tx, tx.Record(s.event(verb)), s.inbox, s.box.id, present, to.ID)
		return err
	})
	if err != nil {
		return nil, s.fault(into(err))
	}
	if len(src) == 0 {
		return nil, nil
	}
	return &imap.CopyData{
		UIDValidity: to.UIDValidity, SourceUIDs: imap.UIDSetNum(asUIDs(src)...), DestUIDs: imap.UIDSetNum(asUIDs(dst)...),
	}, nil
}

// transferring is CopyMessages or MoveMessages.
type transferring func(tx *storage.Tx, e *audit.Event, in *storage.Inbox, from uuid.UUID, uids []storage.UIDRange, to uuid.UUID) (src, dst []uint32, err error)
