package storage

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// MarkLabel is what a person says of a message that was judged.
type MarkLabel string

// The labels.
const (
	MarkInjection MarkLabel = "injection" // it was written to steer the machine that reads it
	MarkHarmless  MarkLabel = "harmless"  // it was not
)

// Mark is what a person said of a message, beside what the scorer had said: one case
// of a local evaluation set. It refers to the message and does not keep it: when the
// message is erased the mark is a digest, a label and a verdict. A mark changes no
// threshold. // PI-9
type Mark struct {
	Head
	Inbox   uuid.UUID `json:"inbox"`
	Message uuid.UUID `json:"message"`
	SHA256  [32]byte  `json:"sha256"` // of the message's bytes
	Label   MarkLabel `json:"label"`
	Verdict Verdict   `json:"verdict"` // at that time
	Score   float32   `json:"score"`
	Model   string    `json:"model,omitempty"`
	At      time.Time `json:"at"`
	By      string    `json:"by"` // who says so
}

// PutMark writes what a person says of a message. There is one mark of a message:
// who says otherwise replaces it. It returns without a change, and false, when the
// same was said already.
func (tx *Tx) PutMark(e *audit.Event, m *Mark) (changed bool, err error) {
	was, err := tx.markOf(m.Org, m.Message)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return false, err
	case was.Label == m.Label:
		*m = was
		return false, nil
	default:
		m.Head = was.Head
		e.Fields = append(e.Fields, audit.Word(audit.KeyWas, string(was.Label)))
	}
	m.At = tx.now
	sealed, err := tx.sealRecord(e, "mark", m)
	if err != nil {
		return false, err
	}
	return true, tx.exec(`INSERT INTO mark (id, org, message, version, event, sealed) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, event = excluded.event, sealed = excluded.sealed`,
		m.ID[:], m.Org[:], m.Message[:], m.Version, m.Event[:], sealed)
}

func (tx *Tx) markOf(org, message uuid.UUID) (m Mark, err error) {
	row, err := scanHead(tx.row("SELECT "+headColumns+" FROM mark WHERE org = $1 AND message = $2", org[:], message[:]))
	if err == nil {
		err = tx.store().openRecord(context.Background(), "mark", row, &m)
	}
	return m, err
}

// MarkOf finds what a person said of a message; ErrNotFound when nobody did.
func (s *Store) MarkOf(ctx context.Context, org, message uuid.UUID) (Mark, error) {
	return find[Mark](ctx, s, "mark", "org = $1 AND message = $2", org[:], message[:])
}

// Marks lists what people said of messages of an organization after an id, at most
// limit.
func (s *Store) Marks(ctx context.Context, org, after uuid.UUID, limit int) ([]Mark, error) {
	return list[Mark](ctx, s, "mark", "org = $1"+page, org[:], after[:], limit)
}

// markHint holds the column by which a mark is found.
func markHint(s *Store, row sealedRow, column []byte) (bool, error) {
	var m Mark
	err := s.openRecord(context.Background(), "mark", row, &m)
	return bytes.Equal(column, m.Message[:]), err
}
