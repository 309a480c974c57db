package storage

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// GlassState is where a grant stands.
type GlassState string

// The states.
const (
	GlassAsked GlassState = "asked" // another person must agree
	GlassOpen  GlassState = "open"  // the person reads
	GlassEnded GlassState = "ended" // its time is over, or somebody ended it
)

// Glass lets one person read one message of an inbox for a while: the glass that is
// broken in an emergency. The message is content of an agent, not the person's, so it
// says why, and who agreed. It has nothing of the message. // AC-17
type Glass struct {
	Head
	Inbox   uuid.UUID `json:"inbox"`
	Message uuid.UUID `json:"message"` // one id for all copies; only that in the inbox is opened
	Person  uuid.UUID `json:"person"`  // who reads
	By      string    `json:"by"`      // their address
	Why     string    `json:"why"`     // code of a closed list, which package policy has
	Reason  string    `json:"reason"`  // in their words
	Persons int       `json:"persons"` // how many must agree, the reader included
	Asked   time.Time `json:"asked"`
	Opened  time.Time `json:"opened,omitzero"` // zero: not yet
	Until   time.Time `json:"until"`           // the end of the reading, or of the asking
	Agreed  string    `json:"agreed,omitempty"`
	Told    int       `json:"told,omitempty"` // owners of agents to whom mail about it went

	Ended   time.Time `json:"ended,omitzero"` // before its time
	EndedBy string    `json:"ended_by,omitempty"`
}

// State is where the grant stands at a time: it ends by itself.
func (g *Glass) State(now time.Time) GlassState {
	switch {
	case !g.Ended.IsZero() || !now.Before(g.Until):
		return GlassEnded
	case g.Opened.IsZero():
		return GlassAsked
	}
	return GlassOpen
}

// AskGlass notes that a person wants to read a message.
func (tx *Tx) AskGlass(e *audit.Event, g *Glass, until time.Time) error {
	g.Asked, g.Until = tx.now, until
	return tx.insertGlass(e, g)
}

// OpenGlass lets a person read a message until a time: at once, or when the others who
// must agree have. ErrConflict when it has changed since it was read.
func (tx *Tx) OpenGlass(e *audit.Event, g *Glass, until time.Time) error {
	g.Opened, g.Until = tx.now, until
	if g.Version > 0 {
		return tx.updateGlass(e, g)
	}
	g.Asked = tx.now
	return tx.insertGlass(e, g)
}

// EndGlass ends a grant before its time. ErrConflict when it has changed since it was
// read.
func (tx *Tx) EndGlass(e *audit.Event, g *Glass, by string) error {
	g.Ended, g.EndedBy = tx.now, by
	return tx.updateGlass(e, g)
}

func (tx *Tx) insertGlass(e *audit.Event, g *Glass) error {
	sealed, err := tx.sealRecord(e, "glass", g)
	if err != nil {
		return err
	}
	g.name(e)
	return tx.exec("INSERT INTO glass (id, org, inbox, message, version, event, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		g.ID[:], g.Org[:], g.Inbox[:], g.Message[:], g.Version, g.Event[:], sealed)
}

func (tx *Tx) updateGlass(e *audit.Event, g *Glass) error {
	was := g.Version
	sealed, err := tx.sealRecord(e, "glass", g)
	if err != nil {
		return err
	}
	g.name(e)
	n, err := tx.execN("UPDATE glass SET version = $1, event = $2, sealed = $3 WHERE id = $4 AND version = $5",
		g.Version, g.Event[:], sealed, g.ID[:], was)
	return changed(n, err)
}

// name says in an event which grant it is about, and of what.
func (g *Glass) name(e *audit.Event) {
	e.Org, e.Inbox, e.Object = g.Org, g.Inbox, g.Message
	e.Fields = append(e.Fields, audit.ID(audit.KeyGlass, g.ID))
}

// Glass finds a grant of an organization.
func (s *Store) Glass(ctx context.Context, org, id uuid.UUID) (Glass, error) {
	return find[Glass](ctx, s, "glass", "org = $1 AND id = $2", org[:], id[:])
}

// Glass is Store.Glass as this transaction sees it.
func (tx *Tx) Glass(org, id uuid.UUID) (g Glass, err error) {
	row, err := scanHead(tx.row("SELECT "+headColumns+" FROM glass WHERE org = $1 AND id = $2", org[:], id[:]))
	if err == nil {
		err = tx.store().openRecord(context.Background(), "glass", row, &g)
	}
	return g, err
}

// Glasses lists the grants of an organization after an id, in the order of asking, at
// most limit.
func (s *Store) Glasses(ctx context.Context, org, after uuid.UUID, limit int) ([]Glass, error) {
	return list[Glass](ctx, s, "glass", "org = $1"+page, org[:], after[:], limit)
}

// NewestGlasses lists the grants of an organization that were asked for before one, the
// newest first, at most limit; before no one: from the newest on.
func (s *Store) NewestGlasses(ctx context.Context, org, before uuid.UUID, limit int) ([]Glass, error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	return list[Glass](ctx, s, "glass", "org = $1 AND id < $2 ORDER BY id DESC LIMIT $3", org[:], before[:], limit)
}

// maxGlasses bounds the grants of one message that are looked through: the newest
// count.
const maxGlasses = 64

// GlassesOf lists the newest grants about a message, the newest first. One that stands
// at another message than its record says is corrupt.
func (s *Store) GlassesOf(ctx context.Context, org, message uuid.UUID) ([]Glass, error) {
	all, err := list[Glass](ctx, s, "glass", "org = $1 AND message = $2 ORDER BY id DESC LIMIT $3", org[:], message[:], maxGlasses)
	for i := range all {
		if all[i].Message != message {
			return nil, fmt.Errorf("%w: glass %s: a clear column contradicts the record", ErrCorrupt, all[i].ID)
		}
	}
	return all, err
}

// eraseGlasses deletes the grants of an inbox that is being erased; what was granted
// stays in the log.
func (tx *Tx) eraseGlasses(org, inbox uuid.UUID) (n int, err error) {
	return tx.eraseRecords(audit.Event{Verb: audit.GlassSwept, Org: org, Inbox: inbox}, "glass")
}

// glassHint compares the column by which the grants of a message are found.
func glassHint(s *Store, row sealedRow, column []byte) (bool, error) {
	var g Glass
	err := s.openRecord(context.Background(), "glass", row, &g)
	return bytes.Equal(column, g.Message[:]), err
}
