package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
	"postern/storage/audit"
)

// Store is STORE. Keywords that only the server sets can be neither added nor removed; a list that replaces all flags
// leaves them as they are, since clients write back what they were shown (AGENT-SIDE.md, section 4).
func (s *session) Store(_ *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions) error {
	if err := s.may("STORE", storage.Flag); err != nil {
		return err
	}
	if s.box.readOnly {
		return errReadOnly
	}
	op, asked := flagOp(flags.Op), sortFlags(flags.Flags)
	switch {
	case asked.server && op != storage.ReplaceFlags:
		return s.refuse("STORE", "server-keyword", errKeyword)
	case asked.unknown:
		return bad("There is no such system flag")
	}
	ranges, err := s.box.view.resolve(set, s.box.saved)
	if err != nil || len(ranges) == 0 {
		return s.fault(err)
	}
	var changed []storage.MessageFlags
	err = s.write(func(tx *storage.Tx) error {
		changed, err = tx.SetFlags(tx.Record(s.event(audit.MessageFlagged)), s.inbox, s.box.id, stored(ranges), op, asked.flags, asked.keywords)
		return err
	})
	if err != nil {
		return s.fault(err)
	}
	s.box.did(changed)
	if flags.Silent {
		return nil
	}
	return s.fault(s.answerStore(ranges, changed))
}

func flagOp(op imap.StoreFlagsOp) storage.FlagOp {
	switch op {
	case imap.StoreFlagsAdd:
		return storage.AddFlags
	case imap.StoreFlagsDel:
		return storage.RemoveFlags
	}
	return storage.ReplaceFlags
}

// did notes what this session changed itself and knows. A change takes the mailbox's next modseq: where that follows on
// the last one that was asked for, nothing else has happened before it, and of the changes that there were this one is
// known. Nothing is asked unless there are more.
func (sel *selection) did(changed []storage.MessageFlags) {
	if len(changed) > 0 && changed[0].Modseq == sel.modseq+1 {
		sel.modseq++
		sel.noted++
		return
	}
	for _, m := range changed {
		sel.told[m.UID] = m.Modseq
	}
}

// answerStore tells the flags of all messages of the set, also of those that had them already.
func (s *session) answerStore(ranges []imap.UIDRange, changed []storage.MessageFlags) error {
	r := s.newResponse()
	say := func(uid uint32, f storage.Flags) error {
		seq, ok := s.box.view.seq(imap.UID(uid))
		if !ok {
			return nil
		}
		if err := s.nameFlags(r, f); err != nil {
			return err
		}
		r.begin(seq)
		r.number("UID ", int64(uid))
		r.flagList(f, s.box.keywords)
		return r.done()
	}
	var err error
	if int64(len(changed)) == size(ranges) {
		for _, m := range changed {
			if err = say(m.UID, m.Flags); err != nil {
				break
			}
		}
	} else {
		err = s.inbox.Scan(s.ctx, s.box.id, stored(ranges), false, func(m *storage.Message) error {
			s.box.told[m.UID] = m.Modseq
			return say(m.UID, m.Flags)
		})
	}
	if sent := r.end(); err == nil {
		err = sent
	}
	return err
}
