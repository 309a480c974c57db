package imapd

import (
	"errors"
	"math"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/storage"
	"postern/storage/audit"
)

// A session whose credential has the safe view holds an inbox that hands out renditions
// alone (storage.Inbox.Safe), so that nothing of an original can get into any answer, nor
// its size. What arrived before somebody asked for it in that way is rendered here first,
// and frozen: what a UID shows never changes (invariant 13). // CO-6

// renderStep is how many messages one transaction gives their renditions.
const renderStep = 16

// rendered sees to it that what a command will look at has its rendition. A message that is
// damaged gets none, and is left out like any that cannot be read.
func (s *session) rendered(mailbox uuid.UUID, uids []storage.UIDRange) error {
	if !s.principal.Credential.Safe() {
		return nil
	}
	rest := uids
	for len(rest) > 0 {
		missing, err := s.inbox.Unrendered(s.ctx, mailbox, rest, renderStep)
		if err != nil || len(missing) == 0 {
			return err
		}
		if err := s.render(mailbox, missing); err != nil {
			return err
		}
		rest = above(rest, missing[len(missing)-1].Last)
	}
	return nil
}

// above is what of a set lies above a UID.
func above(set []storage.UIDRange, uid uint32) (rest []storage.UIDRange) {
	for _, r := range set {
		if r.Last > uid {
			rest = append(rest, storage.UIDRange{First: max(r.First, uid+1), Last: r.Last})
		}
	}
	return rest
}

// render gives messages their renditions. Somebody else may do so at the same time: who is
// later has nothing to record.
func (s *session) render(mailbox uuid.UUID, uids []storage.UIDRange) error {
	if err := s.server.store.Room(); err != nil {
		return err
	}
	type made struct {
		storage.Rendered
		*delivery.Rendition
	}
	var all []made
	defer func() {
		for _, m := range all {
			m.Discard()
		}
	}()
	err := s.principal.Inbox.ScanBodies(s.ctx, mailbox, uids, func(m *storage.Message) error {
		body, err := s.principal.Inbox.OpenBody(s.ctx, m)
		if err != nil {
			return unlessDamaged(err)
		}
		defer body.Close()
		r, err := delivery.Render(s.server.store, body, body.Size(), m.Content.Overlay, m.Content.Structure)
		if err != nil {
			return unlessDamaged(err)
		}
		all = append(all, made{storage.Rendered{UID: m.UID, Message: m.ID}, r})
		return nil
	})
	if unlessDamaged(err) != nil || len(all) == 0 {
		return unlessDamaged(err)
	}
	err = s.write(func(tx *storage.Tx) error {
		rows := make([]storage.Rendered, len(all))
		for i, m := range all {
			rows[i] = m.Rendered
			if rows[i].Rendition, err = m.In(tx); err != nil {
				return err
			}
		}
		return tx.AddRenditions(tx.Record(s.event(audit.MessageRendered)), s.inbox, mailbox, rows)
	})
	if errors.Is(err, storage.ErrRendered) {
		return nil
	}
	return err
}

// unlessDamaged passes over what is wrong with one message.
func unlessDamaged(err error) error {
	if errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// everything is all messages of a mailbox.
var everything = []storage.UIDRange{{First: 1, Last: math.MaxUint32}}
