package delivery

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"postern/storage"
)

// maxOpen bounds the inboxes that are kept open, about 500 bytes each.
const maxOpen = 4096

// mailboxes keeps inboxes open that get mail, and knows where it goes: two
// reads less for each copy. What is kept holds for one version of the inbox's
// record, which the directory read anew for this very message; the mailbox of a
// role never changes.
type mailboxes struct {
	store *storage.Store
	mu    sync.Mutex
	open  map[opened]*doorway
}

type opened struct {
	inbox   uuid.UUID
	version uint64
	role    storage.Role
}

type doorway struct {
	inbox   *storage.Inbox
	mailbox uuid.UUID
}

// find opens the inbox of a record and finds its mailbox for a role.
func (m *mailboxes) find(ctx context.Context, r storage.InboxRecord, role storage.Role) (*doorway, error) {
	key := opened{r.ID, r.Version, role}
	m.mu.Lock()
	d := m.open[key]
	m.mu.Unlock()
	if d != nil {
		return d, nil
	}
	inbox, err := m.store.OpenInbox(ctx, r.Org, r.ID)
	if err != nil {
		return nil, err
	}
	mailbox, err := inbox.MailboxByRole(ctx, role)
	if err != nil {
		return nil, err
	}
	d = &doorway{inbox, mailbox.ID}
	m.mu.Lock()
	defer m.mu.Unlock()
	for old := range m.open { // any one goes
		if len(m.open) < maxOpen {
			break
		}
		delete(m.open, old)
	}
	m.open[key] = d
	return d, nil
}
