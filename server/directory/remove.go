package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// RemoveInbox ends an address and erases its inbox. It is recorded first: from
// then on the address receives nothing, a scope that names the inbox opens
// nothing, and no live session can act. Its sessions are cut, its key is
// destroyed, and its mail, in the queue too, is deleted before it returns. The
// log stays, without what is personal. It says how many sessions were cut.
//
// ErrRefused while the queue holds mail that the inbox sent, unless force gives
// that mail up; ErrState while some of it is being sent, with force too. The
// context counts until the removal is recorded. After that an error says what
// could not be erased yet: the next start does it. // CO-5
func (d *Directory) RemoveInbox(ctx context.Context, actor audit.Actor, org uuid.UUID, address, reason string, force bool) (in storage.InboxRecord, sessions int, err error) {
	in, err = d.Inbox(ctx, org, address)
	if err != nil {
		return in, 0, err
	}
	err = d.store.Write(ctx, actor, func(tx *storage.Tx) error {
		in := in
		e := tx.Record(audit.Event{Verb: audit.InboxRemove, Outcome: audit.OK, Fields: audit.Fields{audit.Word(audit.KeyEnvironment, string(in.Env))}})
		if reason != "" {
			e.Personal = audit.Fields{audit.Text(audit.KeyNote, reason)}
		}
		return tx.RemoveInbox(e, &in, force)
	})
	var queued *storage.QueuedError
	switch {
	case errors.As(err, &queued) && queued.UnderWay:
		return in, 0, fmt.Errorf("%w: mail of this inbox is being sent at this moment: try again", ErrState)
	case errors.As(err, &queued):
		return in, 0, fmt.Errorf("%w: mail of this inbox is queued for %d recipients, and would never be sent", ErrRefused, queued.Rows)
	case errors.Is(err, storage.ErrConflict):
		return in, 0, storage.ErrNotFound // somebody else removed it meanwhile
	case err != nil:
		return in, 0, err
	}
	cut := d.registry.cut(in.ID, "inbox-removed").wait()
	return in, cut.Sessions, d.store.EraseInbox(context.WithoutCancel(ctx), in.ID)
}

// finishErasures does what is left of removals that a crash cut short. Their
// keys are gone already; these are their rows.
func (d *Directory) finishErasures(ctx context.Context) {
	inboxes, err := d.store.Erasures(ctx)
	for _, id := range inboxes {
		err = errors.Join(err, d.store.EraseInbox(ctx, id))
	}
	if err != nil && ctx.Err() == nil {
		d.log.Error("a removed inbox could not be erased whole; the next start tries again", "error", err)
	}
}
