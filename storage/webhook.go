package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// WebhookState is where a webhook stands.
type WebhookState string

// The states.
const (
	WebhookActive   WebhookState = "active"
	WebhookDisabled WebhookState = "disabled" // it is told nothing until a person says so
)

// Webhook is where alerts are told to, over HTTP. Where it is and its secrets are
// sealed.
type Webhook struct {
	Head
	URL     string          `json:"url"`
	Kinds   []AlertKind     `json:"kinds,omitempty"` // empty: all
	State   WebhookState    `json:"state"`
	Secrets []WebhookSecret `json:"secrets"` // the newest first
	Created time.Time       `json:"created"`

	Failing time.Time `json:"-"` // operational: since when every delivery failed; zero: it does not
}

// WebhookSecret signs what a webhook is told.
type WebhookSecret struct {
	Key   []byte    `json:"key"`
	Until time.Time `json:"until,omitzero"` // of one that has a successor
}

// CreateWebhook adds a webhook.
func (tx *Tx) CreateWebhook(e *audit.Event, w *Webhook) error {
	w.Created, w.State = tx.now, WebhookActive
	sealed, err := tx.sealRecord(e, "webhook", w)
	if err != nil {
		return err
	}
	w.name(e)
	return tx.exec("INSERT INTO webhook (id, org, version, event, state, failing, sealed) VALUES ($1, $2, $3, $4, $5, 0, $6)",
		w.ID[:], w.Org[:], w.Version, w.Event[:], string(w.State), sealed)
}

// UpdateWebhook writes a webhook that was read before; ErrConflict when somebody
// else wrote it in between. One that is disabled loses what it was still to be
// told; one that is active has not failed yet.
func (tx *Tx) UpdateWebhook(e *audit.Event, w *Webhook) error {
	was := w.Version
	sealed, err := tx.sealRecord(e, "webhook", w)
	if err != nil {
		return err
	}
	w.name(e)
	n, err := tx.execN("UPDATE webhook SET version = $1, event = $2, state = $3, failing = 0, sealed = $4 WHERE id = $5 AND version = $6",
		w.Version, w.Event[:], string(w.State), sealed, w.ID[:], was)
	if err := changed(n, err); err != nil || w.State == WebhookActive {
		return err
	}
	return tx.exec("DELETE FROM webhook_delivery WHERE webhook = $1", w.ID[:])
}

// DeleteWebhook removes a webhook that was read before, and what it was still to
// be told; ErrConflict as in UpdateWebhook.
func (tx *Tx) DeleteWebhook(e *audit.Event, w *Webhook) error {
	w.name(e)
	tx.forget(e, "webhook", w)
	n, err := tx.execN("DELETE FROM webhook WHERE id = $1 AND version = $2", w.ID[:], w.Version)
	if err := changed(n, err); err != nil {
		return err
	}
	return tx.exec("DELETE FROM webhook_delivery WHERE webhook = $1", w.ID[:])
}

// name says in an event which webhook it is about.
func (w *Webhook) name(e *audit.Event) { e.Org, e.Object = w.Org, w.ID }

// Webhook finds a webhook of an organization.
func (s *Store) Webhook(ctx context.Context, org, id uuid.UUID) (Webhook, error) {
	all, err := s.webhooks(ctx, "org = $1 AND id = $2", org[:], id[:])
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Webhook{}, err
	}
	return all[0], nil
}

// Webhooks lists the webhooks of an organization after an id, by creation, at most limit.
func (s *Store) Webhooks(ctx context.Context, org, after uuid.UUID, limit int) ([]Webhook, error) {
	return s.webhooks(ctx, "org = $1"+page, org[:], after[:], limit)
}

func (s *Store) webhooks(ctx context.Context, where string, args ...any) ([]Webhook, error) {
	var sealed []sealedRow
	var states []string
	var failing []int64
	err := s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT "+headColumns+", state, failing FROM webhook WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var state string
			var since int64
			row, err := scanHead(rows, &state, &since)
			if err != nil {
				return err
			}
			sealed, states, failing = append(sealed, row), append(states, state), append(failing, since)
		}
		return classify(rows.Err())
	})
	if err != nil {
		return nil, err
	}
	all := make([]Webhook, len(sealed))
	for i := range sealed {
		if err := s.openRecord(ctx, "webhook", sealed[i], &all[i]); err != nil {
			return nil, err
		}
		if string(all[i].State) != states[i] {
			return nil, fmt.Errorf("%w: webhook %s: its column state is not that of its record", ErrCorrupt, all[i].ID)
		}
		if failing[i] != 0 {
			all[i].Failing = fromMicros(failing[i])
		}
	}
	return all, nil
}

// WebhookDelivery is one thing that one webhook is to be told. It is operational:
// that it is to be told follows from the alert's event, and that it was told has
// an event of its own. Its id stays the same over all attempts.
type WebhookDelivery struct {
	ID, Org, Webhook uuid.UUID
	Payload          []byte
	Created, Due     time.Time
	Attempts         int // made so far
}

func deliveryIdentity(org, id uuid.UUID) seal.Identity {
	return seal.Identity{Org: org, Table: "webhook_delivery", ID: id[:], Purpose: "payload"}
}

// maxDeliveries bounds what one webhook is still to be told.
const maxDeliveries = 10000

// AddDelivery notes what a webhook is to be told, due now, unless as much waits
// for it as may.
func (u *Upkeep) AddDelivery(d WebhookDelivery) error {
	var waiting int
	if err := u.tx.row("SELECT COUNT(*) FROM webhook_delivery WHERE webhook = $1", d.Webhook[:]).Scan(&waiting); err != nil {
		return classify(err)
	}
	if waiting >= maxDeliveries {
		return nil
	}
	key, err := u.tx.store().orgKey(context.Background(), d.Org)
	if err != nil {
		return err
	}
	return u.tx.exec("INSERT INTO webhook_delivery (id, org, webhook, created, due, attempts, sealed) VALUES ($1, $2, $3, $4, $4, 0, $5)",
		d.ID[:], d.Org[:], d.Webhook[:], micros(u.tx.now), key.Seal(d.Payload, deliveryIdentity(d.Org, d.ID)))
}

// PostponeDelivery gives a delivery its next time after an attempt that failed.
func (u *Upkeep) PostponeDelivery(id uuid.UUID, due time.Time) error {
	return u.tx.exec("UPDATE webhook_delivery SET attempts = attempts + 1, due = $1 WHERE id = $2", micros(due), id[:])
}

// DropDelivery ends a delivery: it arrived, or is given up.
func (u *Upkeep) DropDelivery(id uuid.UUID) error {
	return u.tx.exec("DELETE FROM webhook_delivery WHERE id = $1", id[:])
}

// WebhookFailing notes since when a webhook fails, if that is not known yet; the
// zero time says that it does not.
func (u *Upkeep) WebhookFailing(id uuid.UUID, since time.Time) error {
	if since.IsZero() {
		return u.tx.exec("UPDATE webhook SET failing = 0 WHERE id = $1 AND failing <> 0", id[:])
	}
	return u.tx.exec("UPDATE webhook SET failing = $1 WHERE id = $2 AND failing = 0", micros(since), id[:])
}

// DueDeliveries lists what is due, of all organizations, the longest due first.
func (s *Store) DueDeliveries(ctx context.Context, at time.Time, limit int) ([]WebhookDelivery, error) {
	return s.deliveries(ctx, "due <= $1 ORDER BY due, id LIMIT $2", micros(at), limit)
}

// DeliveriesOf lists what a webhook is still to be told, the oldest first.
func (s *Store) DeliveriesOf(ctx context.Context, webhook uuid.UUID, limit int) ([]WebhookDelivery, error) {
	return s.deliveries(ctx, "webhook = $1 ORDER BY id LIMIT $2", webhook[:], limit)
}

func (s *Store) deliveries(ctx context.Context, where string, args ...any) (all []WebhookDelivery, err error) {
	var sealed [][]byte
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT id, org, webhook, created, due, attempts, sealed FROM webhook_delivery WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d WebhookDelivery
			var created, due int64
			var payload []byte
			if err := rows.Scan(&d.ID, &d.Org, &d.Webhook, &created, &due, &d.Attempts, &payload); err != nil {
				return classify(err)
			}
			d.Created, d.Due = fromMicros(created), fromMicros(due)
			all, sealed = append(all, d), append(sealed, payload)
		}
		return classify(rows.Err())
	})
	for i := range all {
		key, err := s.orgKey(ctx, all[i].Org)
		if err != nil {
			return nil, err
		}
		if all[i].Payload, err = key.Open(sealed[i], deliveryIdentity(all[i].Org, all[i].ID)); err != nil {
			return nil, fmt.Errorf("%w: webhook delivery %s: %v", ErrCorrupt, all[i].ID, err)
		}
	}
	return all, err
}
