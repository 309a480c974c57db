package storage

import (
	"context"

	"github.com/google/uuid"
)

// Changes is what happened in a mailbox since a modseq.
type Changes struct {
	Modseq   uint64         // up to which this is all
	UIDNext  uint32         // at that modseq
	New      []uint32       // UIDs that came and are still there, in order
	Flags    []MessageFlags // older messages whose flags changed, in UID order
	Vanished []uint32       // UIDs that went, in order; some may have come since and never been seen
}

// Changes reads what happened in a mailbox after the modseq since.
func (in *Inbox) Changes(ctx context.Context, mailbox uuid.UUID, since uint64) (Changes, error) {
	panic("in the next commit")
}
