package storage

import "context"

// What commits wrote lies in the write-ahead log until it is copied into the database.
// That takes some milliseconds, and two flushes: done by the writer, one commit in some
// hundred waits for it. It is done beside the writer, by somebody who reads, and the
// writer does it only where that does not keep up.
const (
	// backfillEvery is after how many functions the log is copied; a delivery that comes
	// alone writes 15 pages.
	backfillEvery = 64
	// backfillBound is the number of pages from which on the writer copies them himself:
	// 32 MB, which a start after a crash reads in some 20 ms.
	backfillBound = 4000
	// backfillRounds: what came meanwhile is copied too, since the log begins anew only
	// when nothing is left of it.
	backfillRounds = 3
)

// wrote counts functions that were committed, and calls for a copy when it is time.
func (w *writer) wrote(functions int) {
	if w.since += functions; w.since < backfillEvery {
		return
	}
	w.since = 0
	select {
	case w.behind <- struct{}{}:
	default: // it is called for already
	}
}

// keepBackfilled copies what commits wrote, until the context ends.
func (s *Store) keepBackfilled(ctx context.Context) {
	for {
		select {
		case <-s.writer.behind:
		case <-ctx.Done():
			return
		}
		if err := s.backfill(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("the write-ahead log could not be copied into the database", "error", err)
		}
	}
}

func (s *Store) backfill(ctx context.Context) error {
	return s.look(ctx, func(r *reads) error {
		for range backfillRounds {
			var busy, pages, copied int
			err := classify(r.row("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &copied))
			if err != nil || busy != 0 || pages == copied {
				return err
			}
		}
		return nil
	})
}
