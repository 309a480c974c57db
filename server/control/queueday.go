package control

import (
	"context"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// QueueDay is how the queue was in each of the last 24 hours. Its counts follow from the
// audit log, soon after it, and are no evidence; how much waited is reckoned back from
// what waits now.
type QueueDay struct {
	Since   time.Time   `json:"since"`              // the beginning of the first of 24 hours; the last one is not over yet
	Waiting int64       `json:"waiting"`            // recipients that wait for an attempt
	Held    int64       `json:"held"`               // recipients that wait for people
	Oldest  time.Time   `json:"oldest_at,omitzero"` // since when one of those that wait for an attempt does
	Hours   []QueueHour `json:"hours"`
}

// QueueHour is what became of recipients in an hour.
type QueueHour struct {
	Waiting int64 `json:"waiting"`  // at its end
	Came    int64 `json:"came"`     // into the queue
	PutOff  int64 `json:"put_off"`  // whose first attempt did not succeed
	First   int64 `json:"first"`    // that left at the first attempt
	Later   int64 `json:"later"`    // that left at a later one
	GivenUp int64 `json:"given_up"` // of these, those that failed for good
}

// QueueDay asks how the queue was in the last 24 hours.
func (c *Client) QueueDay(ctx context.Context) (QueueDay, error) {
	return ask[None, QueueDay](ctx, c, "queue.day", None{})
}

func (s *Server) queueDay(ctx context.Context, by caller, _ None) (QueueDay, error) {
	end := storage.HourOf(s.Now()) + 1
	from := end - overviewHours
	d := QueueDay{Since: time.Unix(from*3600, 0).UTC(), Hours: make([]QueueHour, overviewHours)}
	states, err := s.Store.OutgoingCounts(ctx, by.org)
	if err != nil {
		return d, err
	}
	for _, c := range states {
		if c.State == storage.OutgoingQueued {
			d.Waiting, d.Oldest = c.Count, c.Oldest
		} else {
			d.Held += c.Count
		}
	}
	counts, err := s.Store.Hours(ctx, by.org, uuid.Nil, from, end,
		storage.CountEnqueued, storage.CountPutOff, storage.CountLeft, storage.CountLeftLate, storage.CountGivenUp)
	if err != nil {
		return d, err
	}
	for _, c := range counts {
		d.Hours[c.Hour-from].add(c)
	}
	waiting := d.Waiting
	for i := len(d.Hours) - 1; i >= 0; i-- {
		h := &d.Hours[i]
		h.Waiting = max(0, waiting)
		waiting -= h.Came - h.First - h.Later
	}
	return d, nil
}

// add adds a count to an hour.
func (h *QueueHour) add(c storage.HourCount) {
	switch c.What {
	case storage.CountEnqueued:
		h.Came += c.N
	case storage.CountPutOff:
		h.PutOff += c.N
	case storage.CountLeft:
		h.First += c.N
	case storage.CountLeftLate:
		h.Later += c.N
	case storage.CountGivenUp:
		h.GivenUp += c.N
	}
}
