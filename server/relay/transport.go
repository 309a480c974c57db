package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/policy"
	"postern/server/queue"
	"postern/storage"
)

// Transport is the queue's way to the world outside. Mail is signed here and
// nowhere else, so that no copy that stays in the house carries a signature.
type Transport struct {
	relay *Relay
	dir   *directory.Directory
	log   *slog.Logger

	mu   sync.Mutex
	keys map[uuid.UUID]*dkim.Key // parsed, by the id of the key's record, which never changes
}

// maxKeys bounds the parsed keys that are kept: parsing an RSA key costs a
// seventh of a signature.
const maxKeys = 256

var _ queue.Transport = (*Transport)(nil)

// NewTransport joins a relay to the directory that has the signing keys. A nil
// log: nothing is logged.
func NewTransport(r *Relay, dir *directory.Directory, log *slog.Logger) *Transport {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Transport{relay: r, dir: dir, log: log, keys: make(map[uuid.UUID]*dkim.Key)}
}

// Attempt implements [queue.Transport].
func (t *Transport) Attempt(ctx context.Context, batch []queue.Item) []queue.Result {
	first := batch[0]
	if refused := t.confined(ctx, first); refused != nil {
		return repeat(refused, len(batch))
	}
	m := Message{From: first.Sender, Data: first.Body, Size: first.Size, EightBit: first.EightBit, UTF8: first.UTF8,
		Org: first.Org, RequireTLS: first.RequireTLS, TLSOptional: first.TLSOptional}
	for _, it := range batch {
		m.To = append(m.To, it.Recipient)
	}
	domain, refused := t.sender(ctx, first)
	var signer *dkim.Signer
	if refused == nil {
		signer, refused = t.signer(ctx, first, domain)
	}
	if refused == nil {
		m.Authenticated, refused = t.authenticated(ctx, first, domain.ID)
	}
	if refused != nil {
		return repeat(refused, len(batch))
	}
	m.Sign = func() ([]byte, error) { return signer.Sign(m.Data, m.Size) }
	var out []queue.Result
	for _, r := range t.relay.Send(ctx, m) {
		out = append(out, r.forQueue())
	}
	return out
}

// confined refuses mail of a test inbox, before anything is asked of the network.
// Submission captures it and queues none, so there is none to refuse unless
// somebody put it there. // AC-14
func (t *Transport) confined(ctx context.Context, it queue.Item) *queue.Result {
	env, err := t.dir.Environment(ctx, it.Org, it.Inbox)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil // a sender without an inbox is the signer's to judge
	case err != nil:
		return &queue.Result{Outcome: queue.NotTried, Rule: "storage", Enhanced: "4.3.0"}
	case env == storage.Test:
		return testMail
	}
	return nil
}

// authenticated reports whether people demand authenticated TLS for the
// destination: of the organization, the domain, the agent, the credential or the
// inbox that sends. What they say now counts, also for what was queued before. // CO-1
func (t *Transport) authenticated(ctx context.Context, it queue.Item, domain uuid.UUID) (bool, *queue.Result) {
	if t.relay.config.Store == nil {
		return false, nil
	}
	rules, err := policy.Load(ctx, t.relay.config.Store, policy.Subjects{
		Organization: it.Org, Domain: domain, Agent: it.Agent, Credential: it.Credential, Inbox: it.Inbox})
	if err != nil {
		return false, &queue.Result{Outcome: queue.NotTried, Rule: "storage", Enhanced: "4.3.0"}
	}
	return rules.TLS.Requires(wire(it.Recipient).Domain), nil
}

// repeat gives every recipient the same result.
func repeat(r *queue.Result, n int) []queue.Result {
	out := make([]queue.Result, n)
	for i := range out {
		out[i] = *r
	}
	return out
}

// forQueue says the same in the queue's words.
func (r Result) forQueue() queue.Result {
	outcome := map[Outcome]queue.Outcome{Temporary: queue.Temporary, Delivered: queue.Delivered, Permanent: queue.Permanent}[r.Outcome]
	if r.Reason == Busy || r.Reason == Cancelled && !r.Uncertain {
		outcome = queue.NotTried // our limits and our shutting down are nobody's failure
	}
	return queue.Result{
		Outcome: outcome, Uncertain: r.Uncertain, Rule: string(r.Reason), Code: r.Code, Enhanced: r.Enhanced, Text: r.Text,
		Host: r.Host, IP: r.IP, TLS: r.TLS.Version, Cipher: r.TLS.Cipher, Size: r.BytesSent, SHA256: r.SHA256,
		Policy: r.Policy, PolicyDomain: r.PolicyDomain, PolicyText: r.PolicyText, VerifiedBy: r.VerifiedBy,
		TLSFailure: r.TLSFailure, Demand: r.Demand, Sessions: r.Sessions,
	}
}

// Results for senders who may not send outside.
var (
	senderGone = &queue.Result{Outcome: queue.Permanent, Rule: "sender-domain-gone", Enhanced: "5.1.8"}
	notProved  = &queue.Result{Outcome: queue.Permanent, Rule: "sender-domain-not-proved", Enhanced: "5.7.1"}
	testMail   = &queue.Result{Outcome: queue.Permanent, Rule: "test-environment", Enhanced: "5.7.1"}
	noKeys     = &queue.Result{Outcome: queue.Temporary, Rule: "no-signing-key", Enhanced: "4.3.5"}
)

// sender finds in whose domain's name a message goes, as the domain is now: one that
// was removed, or is not proved to be the organization's, sends nothing outside. A
// notice has no sender: it goes in the name of its inbox's domain.
func (t *Transport) sender(ctx context.Context, it queue.Item) (domain storage.Domain, refused *queue.Result) {
	var err error
	if it.Sender.IsNull() {
		domain, err = t.dir.DomainOf(ctx, it.Org, it.Inbox)
	} else {
		domain, err = t.dir.Domain(ctx, it.Org, it.Sender.Domain)
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return domain, senderGone
	case err != nil:
		return domain, t.unsigned(ctx, it, err)
	case !domain.Owned:
		return domain, notProved
	}
	return domain, nil
}

// signer makes what signs for a domain.
func (t *Transport) signer(ctx context.Context, it queue.Item, domain storage.Domain) (*dkim.Signer, *queue.Result) {
	stored, err := t.dir.DKIMKeys(ctx, it.Org, domain.ID)
	t.forget(stored)
	var selected []dkim.Selected
	for _, a := range []dkim.Algorithm{dkim.RSA, dkim.Ed25519} {
		if k := signing(stored, a); err == nil && k != nil {
			var key *dkim.Key
			key, err = t.key(*k)
			selected = append(selected, dkim.Selected{Selector: k.Selector, Key: key})
		}
	}
	var signer *dkim.Signer
	if err == nil {
		signer, err = dkim.NewSigner(message.CanonicalDomain(domain.Name), selected...)
	}
	if err != nil {
		return nil, t.unsigned(ctx, it, err)
	}
	return signer, nil
}

// unsigned is the result for a message that cannot be signed now.
func (t *Transport) unsigned(ctx context.Context, it queue.Item, err error) *queue.Result {
	if ctx.Err() != nil {
		return &queue.Result{Outcome: queue.NotTried, Rule: string(Cancelled), Enhanced: "4.3.2"}
	}
	t.log.Error("a message cannot be signed and waits", "message", it.Message, "error", err)
	return noKeys
}

// signing is the key of an algorithm that signs now; keys come in the order of
// creation.
func signing(keys []storage.DKIMKey, a dkim.Algorithm) *storage.DKIMKey {
	for i := len(keys) - 1; i >= 0; i-- {
		if keys[i].State == dkim.Signing && keys[i].Algorithm == string(a) {
			return &keys[i]
		}
	}
	return nil
}

// forget drops what is kept of keys that sign no more: one that was destroyed is
// not to live on here.
func (t *Transport) forget(keys []storage.DKIMKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range keys {
		if keys[i].State != dkim.Signing {
			delete(t.keys, keys[i].ID)
		}
	}
}

func (t *Transport) key(k storage.DKIMKey) (*dkim.Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key := t.keys[k.ID]; key != nil {
		return key, nil
	}
	key, err := dkim.ParseKey(k.Private)
	if err != nil {
		return nil, err
	}
	if len(t.keys) >= maxKeys {
		clear(t.keys)
	}
	t.keys[k.ID] = key
	return key, nil
}
