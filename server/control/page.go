package control

import "github.com/google/uuid"

// Page asks for a part of a list whose rows stand in the order in which they were made.
// The zero Page is all of it.
type Page struct {
	After uuid.UUID `json:"after,omitzero"`  // only those made after this one
	Limit int       `json:"limit,omitempty"` // at most so many; 0: all
}

// paged emits the records of a part of a list, in short reads. emit says whether a
// record counts: one that a filter leaves out does not.
func paged[T any](q Page, read func(after uuid.UUID, step int) ([]T, error), id func(*T) uuid.UUID, emit func(*T) (bool, error)) error {
	n, step := 0, page
	if q.Limit > 0 {
		step = min(step, q.Limit)
	}
	for after := q.After; ; {
		records, err := read(after, step)
		if err != nil {
			return err
		}
		last := len(records) < step
		for i := range records {
			shown, err := emit(&records[i])
			if err != nil {
				return err
			}
			if after = id(&records[i]); !shown {
				step = page // a filter may have to read on for long
				continue
			}
			if n++; n == q.Limit {
				return nil
			}
		}
		if last {
			return nil
		}
	}
}
