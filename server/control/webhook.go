package control

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"postern/server/webhook"
	"postern/storage"
)

// Webhook is where alerts are told to, over HTTP.
type Webhook struct {
	ID      uuid.UUID            `json:"id"`
	URL     string               `json:"url"`
	State   storage.WebhookState `json:"state"`               // active, disabled
	Kinds   []storage.AlertKind  `json:"kinds"`               // none: all
	Secret  string               `json:"secret,omitempty"`    // shown once: when it is made
	Both    time.Time            `json:"both_until,omitzero"` // until when the secret before the last signs too
	Waiting int                  `json:"waiting"`             // things that it is still to be told
	Failing time.Time            `json:"failing_since,omitzero"`
	Created time.Time            `json:"created_at"`
}

// NewWebhook asks for a webhook.
type NewWebhook struct {
	URL   string              `json:"url"`
	Kinds []storage.AlertKind `json:"kinds,omitempty"`
}

// WebhookRef names a webhook.
type WebhookRef struct {
	ID      string `json:"id"`
	Overlap int64  `json:"overlap,omitempty"` // of a rotation: seconds for which both secrets sign
}

// WebhookTest is how a test went.
type WebhookTest struct {
	OK     bool   `json:"ok"`
	Rule   string `json:"rule"` // ok, or what was in the way
	Code   int    `json:"code,omitempty"`
	Millis int64  `json:"millis"`
}

func (s *Server) webhookCommands() {
	answer(s, "webhook.create", s.webhookCreate)
	lines(s, "webhook.list", s.webhookList)
	answer(s, "webhook.show", s.webhookShow)
	answer(s, "webhook.remove", s.webhookRemove)
	answer(s, "webhook.rotate", s.webhookRotate)
	answer(s, "webhook.enable", s.webhookEnable)
	answer(s, "webhook.test", s.webhookTest)
}

// CreateWebhook makes a webhook; its secret is in the answer and nowhere else.
func (c *Client) CreateWebhook(ctx context.Context, q NewWebhook) (Webhook, error) {
	return ask[NewWebhook, Webhook](ctx, c, "webhook.create", q)
}

func (s *Server) webhookCreate(ctx context.Context, by caller, q NewWebhook) (Webhook, error) {
	w, err := s.Webhooks.Create(ctx, by.Actor, by.org, q.URL, q.Kinds)
	if err != nil {
		return Webhook{}, err
	}
	return s.createdWebhook(ctx, w)
}

func (s *Server) createdWebhook(ctx context.Context, w webhook.Created) (Webhook, error) {
	view, err := s.webhookView(ctx, &w.Webhook)
	view.Secret = w.Secret
	return view, err
}

// Webhooks lists the webhooks.
func (c *Client) Webhooks(ctx context.Context, q Page) iter.Seq2[Webhook, error] {
	return rows[Page, Webhook](ctx, c, "webhook.list", q)
}

func (s *Server) webhookList(ctx context.Context, by caller, q Page, emit func(Webhook) error) error {
	read := func(after uuid.UUID, step int) ([]storage.Webhook, error) {
		return s.Webhooks.List(ctx, by.org, after, step)
	}
	return paged(q, read, func(w *storage.Webhook) uuid.UUID { return w.ID }, func(w *storage.Webhook) (bool, error) {
		view, err := s.webhookView(ctx, w)
		if err != nil {
			return false, err
		}
		return true, emit(view)
	})
}

// Webhook shows one webhook.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	return ask[WebhookRef, Webhook](ctx, c, "webhook.show", WebhookRef{ID: id})
}

func (s *Server) webhookShow(ctx context.Context, by caller, q WebhookRef) (Webhook, error) {
	id, err := webhookID(q)
	if err != nil {
		return Webhook{}, err
	}
	w, err := s.Store.Webhook(ctx, by.org, id)
	if err != nil {
		return Webhook{}, missing(err, "webhook", q.ID)
	}
	return s.webhookView(ctx, &w)
}

// RemoveWebhook ends a webhook.
func (c *Client) RemoveWebhook(ctx context.Context, id string) error {
	_, err := ask[WebhookRef, None](ctx, c, "webhook.remove", WebhookRef{ID: id})
	return err
}

func (s *Server) webhookRemove(ctx context.Context, by caller, q WebhookRef) (None, error) {
	id, err := webhookID(q)
	if err != nil {
		return None{}, err
	}
	return None{}, missing(s.Webhooks.Remove(ctx, by.Actor, by.org, id), "webhook", q.ID)
}

// RotateWebhook gives a webhook a new secret; for the overlap both sign.
func (c *Client) RotateWebhook(ctx context.Context, q WebhookRef) (Webhook, error) {
	return ask[WebhookRef, Webhook](ctx, c, "webhook.rotate", q)
}

// maxOverlap bounds for how long two secrets of a webhook sign.
const maxOverlap = 30 * 24 * time.Hour

func (s *Server) webhookRotate(ctx context.Context, by caller, q WebhookRef) (Webhook, error) {
	id, err := webhookID(q)
	if err != nil {
		return Webhook{}, err
	}
	if q.Overlap < 0 || q.Overlap > int64(maxOverlap/time.Second) {
		return Webhook{}, invalid("two secrets sign for 30 days at the most")
	}
	w, err := s.Webhooks.Rotate(ctx, by.Actor, by.org, id, time.Duration(q.Overlap)*time.Second)
	if err != nil {
		return Webhook{}, missing(err, "webhook", q.ID)
	}
	return s.createdWebhook(ctx, w)
}

// EnableWebhook puts a webhook to work again.
func (c *Client) EnableWebhook(ctx context.Context, id string) (Webhook, error) {
	return ask[WebhookRef, Webhook](ctx, c, "webhook.enable", WebhookRef{ID: id})
}

func (s *Server) webhookEnable(ctx context.Context, by caller, q WebhookRef) (Webhook, error) {
	id, err := webhookID(q)
	if err != nil {
		return Webhook{}, err
	}
	w, err := s.Webhooks.Enable(ctx, by.Actor, by.org, id)
	if err != nil {
		return Webhook{}, missing(err, "webhook", q.ID)
	}
	return s.webhookView(ctx, &w)
}

// TestWebhook tells a webhook something now, and says how that went.
func (c *Client) TestWebhook(ctx context.Context, id string) (WebhookTest, error) {
	return ask[WebhookRef, WebhookTest](ctx, c, "webhook.test", WebhookRef{ID: id})
}

func (s *Server) webhookTest(ctx context.Context, by caller, q WebhookRef) (WebhookTest, error) {
	id, err := webhookID(q)
	if err != nil {
		return WebhookTest{}, err
	}
	r, err := s.Webhooks.Test(ctx, by.Actor, by.org, id)
	return WebhookTest{OK: r.OK, Rule: r.Rule, Code: r.Code, Millis: r.Took.Milliseconds()}, missing(err, "webhook", q.ID)
}

func webhookID(q WebhookRef) (uuid.UUID, error) {
	id, err := uuid.Parse(q.ID)
	if err != nil {
		return id, invalid("%q is no id of a webhook: postern webhook list shows them", q.ID)
	}
	return id, nil
}

// webhookView is a webhook without its secrets.
func (s *Server) webhookView(ctx context.Context, w *storage.Webhook) (Webhook, error) {
	waiting, err := s.Webhooks.Waiting(ctx, w.ID)
	view := Webhook{ID: w.ID, URL: w.URL, State: w.State, Kinds: append([]storage.AlertKind{}, w.Kinds...), Waiting: waiting, Failing: w.Failing, Created: w.Created}
	if len(w.Secrets) > 1 {
		view.Both = w.Secrets[1].Until
	}
	return view, err
}
