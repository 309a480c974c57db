package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/storage"
	"postern/storage/audit"
)

// schedule is the time before each further attempt: that of Standard Webhooks.
var schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// disableAfter is how long a webhook may fail, before the next delivery that is
// given up disables it.
const disableAfter = 5 * 24 * time.Hour

// Options are what a sender needs beside the store. Resolver is required.
type Options struct {
	Resolver     dns.Resolver
	Roots        *x509.CertPool   // to verify servers with; nil: the system's
	AllowPrivate bool             // hosts with private addresses, and http to this machine: laboratories and tests
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: nothing is logged
}

// Sender tells webhooks what they are to be told. It is safe for concurrent use.
type Sender struct {
	store  *storage.Store
	o      Options
	client *http.Client

	mu   sync.Mutex
	busy map[uuid.UUID]bool // webhooks that are being told something: one thing at a time
}

// NewSender makes a sender. Run does the work.
func NewSender(store *storage.Store, o Options) *Sender {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sender{store: store, o: o, client: newClient(o), busy: map[uuid.UUID]bool{}}
}

const (
	interval = 300 * time.Millisecond // between looks for what is due
	abreast  = 8                      // webhooks told at a time
	look     = 64                     // deliveries in one look
)

// Run tells what is due until the context is done.
func (s *Sender) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	places := make(chan struct{}, abreast)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		due, err := s.store.DueDeliveries(ctx, s.o.Now(), look)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Error("what webhooks are to be told cannot be read", "error", err)
		}
		for _, d := range due {
			if !s.take(d.Webhook) {
				continue
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			under.Go(func() {
				defer func() { s.give(d.Webhook); <-places }()
				if err := s.deliver(ctx, d); err != nil && ctx.Err() == nil {
					s.o.Log.Error("telling a webhook could not be recorded; it is told again", "delivery", d.ID, "error", err)
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sender) take(webhook uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[webhook] {
		return false
	}
	s.busy[webhook] = true
	return true
}

func (s *Sender) give(webhook uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, webhook)
}

// deliver makes one attempt and records how it ended.
func (s *Sender) deliver(ctx context.Context, d storage.WebhookDelivery) error {
	w, err := s.store.Webhook(ctx, d.Org, d.Webhook)
	if errors.Is(err, storage.ErrNotFound) || err == nil && w.State != storage.WebhookActive {
		return s.store.Upkeep(ctx, func(u *storage.Upkeep) error { return u.DropDelivery(d.ID) })
	}
	if err != nil {
		return err
	}
	r := s.attempt(ctx, &w, messageID(d.ID), d.Payload)
	if r.rule == "stopped" {
		return nil // nobody's failure: it is told at the next start
	}
	return s.settle(context.WithoutCancel(ctx), &w, d, r)
}

// messageID is the webhook-id of a delivery, the same over all attempts. It has
// no full stop, which the signature divides by.
func messageID(delivery uuid.UUID) string { return "msg_" + delivery.String() }

// settle records one attempt, and what follows from it.
func (s *Sender) settle(ctx context.Context, w *storage.Webhook, d storage.WebhookDelivery, r result) error {
	now := s.o.Now()
	given := !r.ok() && (d.Attempts >= len(schedule) || r.gone())
	var next time.Time
	if !r.ok() && !given {
		next = now.Add(max(jitter(schedule[d.Attempts]), r.after))
	}
	disable := r.gone() || given && !w.Failing.IsZero() && now.Sub(w.Failing) >= disableAfter
	err := s.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		tx.Record(attemptEvent(w, d, r, next))
		u := tx.Upkeep()
		var err error
		switch {
		case r.ok():
			err = errors.Join(u.DropDelivery(d.ID), u.WebhookFailing(w.ID, time.Time{}))
		case given:
			err = errors.Join(u.DropDelivery(d.ID), u.WebhookFailing(w.ID, now))
		default:
			err = errors.Join(u.PostponeDelivery(d.ID, next), u.WebhookFailing(w.ID, now))
		}
		if err != nil || !disable {
			return err
		}
		return s.disable(tx, *w, r)
	})
	if errors.Is(err, storage.ErrConflict) {
		return nil // a person changed the webhook meanwhile: the attempt is made again
	}
	return err
}

// disable ends a webhook that fails, and says so.
func (s *Sender) disable(tx *storage.Tx, w storage.Webhook, r result) error {
	w.State = storage.WebhookDisabled
	rule := "failing"
	if r.gone() {
		rule = "gone"
	}
	e := tx.Record(audit.Event{Verb: audit.WebhookChange, Outcome: audit.OK,
		Fields: audit.Fields{audit.Word(audit.KeyState, string(w.State)), audit.Word(audit.KeyRule, rule)}})
	if err := tx.UpdateWebhook(e, &w); err != nil {
		return err
	}
	return tx.RaiseAlert(storage.Alert{Head: storage.Head{Org: w.Org}, Kind: storage.AlertWebhookDisabled, Object: w.ID,
		Detail: "A webhook failed for days, or does not want to be told any more, and is disabled: postern webhook enable " + w.ID.String()})
}

// jitter adds up to a tenth, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration { return d + time.Duration(rand.Int64N(int64(d)/10+1)) }

func attemptEvent(w *storage.Webhook, d storage.WebhookDelivery, r result, next time.Time) audit.Event {
	e := audit.Event{
		Verb: audit.WebhookAttempt, Outcome: audit.OK, Org: w.Org, Object: w.ID,
		Fields: audit.Fields{audit.ID(audit.KeyDelivery, d.ID), audit.Int(audit.KeyAttempts, d.Attempts+1),
			audit.Word(audit.KeyRule, r.rule), audit.Int(audit.KeyMillis, r.took.Milliseconds())},
	}
	if !r.ok() {
		e.Outcome = audit.Failed
	}
	if r.code != 0 {
		e.Fields = append(e.Fields, audit.Int(audit.KeyCode, r.code))
	}
	if !next.IsZero() {
		e.Fields = append(e.Fields, audit.Time(audit.KeyNext, next))
	}
	return e
}
