package storage

import (
	"context"

	"postern/storage/audit"

	"github.com/google/uuid"
)

// RecordRead notes that a credential read messages of a mailbox: in the event, and
// merged into the history of this credential and mailbox. uids are those that
// were there and are to be shown.
func (tx *Tx) RecordRead(e *audit.Event, in *Inbox, credential, mailbox uuid.UUID, uids []UIDRange) error {
	panic("in the next commit")
}

// ReadBy lists what a credential ever read of a mailbox, as merged ranges in
// order.
func (in *Inbox) ReadBy(ctx context.Context, credential, mailbox uuid.UUID) ([]UIDRange, error) {
	panic("in the next commit")
}
