package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// ErrInvalid: a URL or a kind cannot be a webhook's.
var ErrInvalid = errors.New("webhook: not possible")

// ErrState: the webhook is not in the state for this.
var ErrState = errors.New("webhook: not in this state")

// Created is a webhook with the secret that is shown this once.
type Created struct {
	storage.Webhook
	Secret string
}

// Create makes a webhook that is told alerts of these kinds; of all where none is
// named.
func (s *Sender) Create(ctx context.Context, actor audit.Actor, org uuid.UUID, url string, kinds []storage.AlertKind) (Created, error) {
	if err := checkURL(url, s.o.AllowPrivate); err != nil {
		return Created{}, fmt.Errorf("%w: %q: %w", ErrInvalid, url, err)
	}
	for _, k := range kinds {
		if !slices.Contains(storage.AlertKinds(), k) {
			return Created{}, fmt.Errorf("%w: there is no kind of alert %q: the kinds are %v", ErrInvalid, k, storage.AlertKinds())
		}
	}
	key := newKey()
	var c Created
	err := s.store.Write(ctx, actor, func(tx *storage.Tx) error {
		w := storage.Webhook{Head: storage.Head{Org: org}, URL: url, Kinds: kinds, Secrets: []storage.WebhookSecret{{Key: key}}}
		e := tx.Record(audit.Event{Verb: audit.WebhookCreate, Outcome: audit.OK, Personal: audit.Fields{audit.Text(audit.KeyAfter, url)}})
		for _, k := range kinds {
			e.Fields = append(e.Fields, audit.Word(audit.KeyKind, string(k)))
		}
		c = Created{w, secretText(key)}
		return tx.CreateWebhook(e, &c.Webhook)
	})
	return c, err
}

// Remove ends a webhook, and with it what it was still to be told.
func (s *Sender) Remove(ctx context.Context, actor audit.Actor, org, id uuid.UUID) error {
	w, err := s.store.Webhook(ctx, org, id)
	if err != nil {
		return err
	}
	return s.store.Write(ctx, actor, func(tx *storage.Tx) error {
		was := w
		return tx.DeleteWebhook(tx.Record(audit.Event{Verb: audit.WebhookRemove, Outcome: audit.OK,
			Personal: audit.Fields{audit.Text(audit.KeyBefore, w.URL)}}), &was)
	})
}

// Rotate gives a webhook a new secret. For the overlap what it is told is signed
// with both, as the standard says.
func (s *Sender) Rotate(ctx context.Context, actor audit.Actor, org, id uuid.UUID, overlap time.Duration) (Created, error) {
	w, err := s.store.Webhook(ctx, org, id)
	if err != nil {
		return Created{}, err
	}
	key := newKey()
	var c Created
	err = s.store.Write(ctx, actor, func(tx *storage.Tx) error {
		now := w
		was := w.Secrets[0]
		was.Until = tx.Now().Add(overlap)
		now.Secrets = []storage.WebhookSecret{{Key: key}, was}
		e := tx.Record(audit.Event{Verb: audit.WebhookRotate, Outcome: audit.OK, Fields: audit.Fields{audit.Time(audit.KeyExpires, was.Until)}})
		c = Created{now, secretText(key)}
		return tx.UpdateWebhook(e, &c.Webhook)
	})
	return c, err
}

// Enable puts a webhook to work again.
func (s *Sender) Enable(ctx context.Context, actor audit.Actor, org, id uuid.UUID) (storage.Webhook, error) {
	w, err := s.store.Webhook(ctx, org, id)
	if err != nil {
		return w, err
	}
	if w.State == storage.WebhookActive {
		return w, fmt.Errorf("%w: it is active", ErrState)
	}
	was := w
	err = s.store.Write(ctx, actor, func(tx *storage.Tx) error {
		w = was
		w.State = storage.WebhookActive
		e := tx.Record(audit.Event{Verb: audit.WebhookChange, Outcome: audit.OK, Fields: audit.Fields{audit.Word(audit.KeyState, string(w.State))}})
		return tx.UpdateWebhook(e, &w)
	})
	return w, err
}

// Tested is how a test went.
type Tested struct {
	OK   bool
	Rule string // what was in the way: "status", "private-address", "timeout", …
	Code int    // of the reply; 0 when there was none
	Took time.Duration
}

// Test tells a webhook something of type webhook.test, once, now, whatever state
// it is in.
func (s *Sender) Test(ctx context.Context, actor audit.Actor, org, id uuid.UUID) (Tested, error) {
	w, err := s.store.Webhook(ctx, org, id)
	if err != nil {
		return Tested{}, err
	}
	body, err := testPayload(&w, s.o.Now())
	if err != nil {
		return Tested{}, err
	}
	d := storage.WebhookDelivery{ID: storage.NewID(), Org: org, Webhook: id}
	r := s.attempt(ctx, &w, messageID(d.ID), body)
	err = s.store.Write(ctx, actor, func(tx *storage.Tx) error {
		tx.Record(attemptEvent(&w, d, r, time.Time{}))
		return nil
	})
	return Tested{OK: r.ok(), Rule: r.rule, Code: r.code, Took: r.took}, err
}

// List lists the webhooks of an organization after an id, by creation, at most limit.
func (s *Sender) List(ctx context.Context, org, after uuid.UUID, limit int) ([]storage.Webhook, error) {
	return s.store.Webhooks(ctx, org, after, limit)
}

// told are the webhooks of an organization that are told of a kind of alert.
func (s *Sender) told(ctx context.Context, org uuid.UUID, kind storage.AlertKind) (all []uuid.UUID, err error) {
	const chunk = 500
	for after := uuid.Nil; ; {
		some, err := s.store.Webhooks(ctx, org, after, chunk)
		if err != nil {
			return nil, err
		}
		for _, w := range some {
			if after = w.ID; w.State == storage.WebhookActive && (len(w.Kinds) == 0 || slices.Contains(w.Kinds, kind)) {
				all = append(all, w.ID)
			}
		}
		if len(some) < chunk {
			return all, nil
		}
	}
}

// waitingShown bounds how much of what waits is counted for a listing.
const waitingShown = 1000

// Waiting is how many things a webhook is still to be told, up to a thousand.
func (s *Sender) Waiting(ctx context.Context, id uuid.UUID) (int, error) {
	all, err := s.store.DeliveriesOf(ctx, id, waitingShown)
	return len(all), err
}

// Announce prepares what the webhooks of an organization are told about an alert.
// What it returns notes it, in the transaction of whoever asked.
func (s *Sender) Announce(ctx context.Context, a *storage.Alert) (func(u *storage.Upkeep) error, error) {
	hooks, err := s.told(ctx, a.Org, a.Kind)
	if err != nil {
		return nil, err
	}
	agent, err := s.store.Agent(ctx, a.Org, a.Agent)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	credential, err := s.store.Credential(ctx, a.Org, a.Credential)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	body, err := alertPayload(a, agent, credential)
	if err != nil {
		return nil, err
	}
	var all []storage.WebhookDelivery
	for _, id := range hooks {
		all = append(all, storage.WebhookDelivery{ID: storage.NewID(), Org: a.Org, Webhook: id, Payload: body})
	}
	return func(u *storage.Upkeep) error {
		for _, d := range all {
			if err := u.AddDelivery(d); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
