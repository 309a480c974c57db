package directory

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// lastUse is when credentials, or people's sessions, were used since that was last
// written: a use must not cost a write.
type lastUse struct {
	mu sync.Mutex
	at map[uuid.UUID]time.Time
}

// of is the use that is not yet written, in the precision of what is; zero for none.
func (u *lastUse) of(id uuid.UUID) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[id].UTC().Truncate(time.Microsecond)
}

func (u *lastUse) touch(id uuid.UUID, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at == nil {
		u.at = map[uuid.UUID]time.Time{}
	}
	u.at[id] = at
}

// flush writes each use, and keeps all until they are written.
func (u *lastUse) flush(ctx context.Context, store *storage.Store, write func(*storage.Upkeep, uuid.UUID, time.Time) error) error {
	u.mu.Lock()
	batch := maps.Clone(u.at)
	u.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := store.Upkeep(ctx, func(up *storage.Upkeep) error {
		for id, at := range batch {
			if err := write(up, id, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, at := range batch {
		if u.at[id].Equal(at) { // and not used again meanwhile
			delete(u.at, id)
		}
	}
	return nil
}
