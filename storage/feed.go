package storage

import "github.com/google/uuid"

// Watch gives a channel that receives after commits that changed the mailbox. It is
// a hint without content, coalesced, and never blocks the writer: ask Changes
// what it was. A mailbox of another inbox never gives a hint. Call stop when
// done; the channel is not closed.
func (in *Inbox) Watch(mailbox uuid.UUID) (hint <-chan struct{}, stop func()) {
	panic("in the next commit")
}

// WatchAll is Watch for all mailboxes of the inbox and for their creation,
// renaming and deletion.
func (in *Inbox) WatchAll() (hint <-chan struct{}, stop func()) { panic("in the next commit") }
