package relay

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/queue"
	"postern/storage"
)

// Transport is the queue's way out: it signs what it sends.
type Transport struct {
	relay *Relay
	dir   *directory.Directory
	log   *slog.Logger
}

// NewTransport makes the transport. The directory has the keys to sign with; a
// nil log is silent.
func NewTransport(r *Relay, dir *directory.Directory, log *slog.Logger) *Transport {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Transport{relay: r, dir: dir, log: log}
}

// Attempt sends a message to the recipients of one batch.
func (t *Transport) Attempt(ctx context.Context, batch []queue.Item) []queue.Result {
	first := &batch[0]
	m := Message{
		From: first.Sender, Data: first.Body, Size: first.Size, EightBit: first.EightBit, UTF8: first.UTF8,
		Sign: func() ([]byte, error) { return t.sign(ctx, first) },
	}
	for i := range batch {
		m.To = append(m.To, batch[i].Recipient)
	}
	sent := t.relay.Send(ctx, m)
	results := make([]queue.Result, len(sent))
	for i := range sent {
		results[i] = sent[i].forQueue()
	}
	return results
}

// sign makes the signatures of the sender's domain. A domain whose ownership is
// neither proved nor assumed does not sign; policy keeps its mail from getting
// here, and what got here before the domain lost it waits.
func (t *Transport) sign(ctx context.Context, it *queue.Item) ([]byte, error) {
	signer, err := t.signer(ctx, it.Org, it.Sender)
	if err != nil {
		t.log.Error("a message cannot be signed", "message", it.Message, "error", err)
		return nil, err
	}
	return signer.Sign(it.Body, it.Size)
}

// errNoKey: there is nothing to sign with. Unsigned mail must not leave.
var errNoKey = errors.New("relay: the sender's domain has no signing key")

func (t *Transport) signer(ctx context.Context, org uuid.UUID, from message.Path) (*dkim.Signer, error) {
	domain, err := t.dir.Domain(ctx, org, from.Domain)
	if err != nil {
		return nil, err
	}
	if !domain.Owned {
		return nil, errNoKey
	}
	stored, err := t.dir.DKIMKeys(ctx, org, domain.ID)
	if err != nil {
		return nil, err
	}
	keys, err := selected(stored)
	if err != nil {
		return nil, err
	}
	return dkim.NewSigner(domain.Name, keys...)
}

// selected opens the newest key of each algorithm, RSA first: a verifier that
// looks at one signature only looks at the first.
func selected(stored []storage.DKIMKey) ([]dkim.Selected, error) {
	var keys []dkim.Selected
	for _, a := range []dkim.Algorithm{dkim.RSA, dkim.Ed25519} {
		for i := len(stored) - 1; i >= 0; i-- { // listed by creation
			if stored[i].Algorithm != string(a) {
				continue
			}
			k, err := dkim.ParseKey(stored[i].Private)
			if err != nil {
				return nil, err
			}
			keys = append(keys, dkim.Selected{Selector: stored[i].Selector, Key: k})
			break
		}
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	return keys, nil
}

// forQueue says the same in the queue's words. Busy is no attempt.
func (r *Result) forQueue() queue.Result {
	q := queue.Result{
		Uncertain: r.Uncertain, Rule: string(r.Reason), Code: r.Code, Enhanced: r.Enhanced, Text: r.Text,
		Host: r.Host, IP: r.IP, TLS: strings.ReplaceAll(r.TLS.Version, " ", ""), Cipher: r.TLS.Cipher,
		Size: r.BytesSent, SHA256: r.SHA256,
	}
	switch {
	case r.Reason == Busy:
		q.Outcome = queue.NotTried
	case r.Outcome == Delivered:
		q.Outcome = queue.Delivered
	case r.Outcome == Permanent:
		q.Outcome = queue.Permanent
	}
	return q
}
