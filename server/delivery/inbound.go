package delivery

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// Options are what delivery needs. Hostname is required.
type Options struct {
	// Hostname is ours: in Received, and as the authserv-id of RFC 8601.
	Hostname string
	// Auth judges who a message from outside comes from. Nil: nobody does, and
	// the results say none.
	Auth *msgauth.Checker
	// Judge scores what comes in. Nil: nobody does, and verdicts say so.
	Judge Judge
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: nothing is logged
}

// Inbound delivers messages. It is safe for concurrent use.
type Inbound struct {
	store *storage.Store
	dir   *directory.Directory
	o     Options

	mailboxes mailboxes
	refusals  refusals
}

// NewInbound makes an Inbound.
func NewInbound(store *storage.Store, dir *directory.Directory, o Options) *Inbound {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Inbound{store: store, dir: dir, o: o, mailboxes: mailboxes{store: store, open: map[opened]*doorway{}}}
}

// Recipient is an accepted RCPT: the path as it was written, and the inbox that
// the directory found for it.
type Recipient struct {
	Path  message.Path
	Inbox storage.InboxRecord
}

// Received is a message that arrived.
type Received struct {
	Actor       audit.Actor // a Stranger with network, for port 25
	Door        string      // "mx"
	Remote      netip.AddrPort
	HELO        string       // argument of EHLO or HELO, as it came
	With        string       // "ESMTP", "ESMTPS", "UTF8SMTPS" (RFC 3848, RFC 6531)
	TLS, Cipher string       // "TLS1.3", "TLS_AES_128_GCM_SHA256"; empty in clear
	RequireTLS  bool         // RFC 8689: fulfilled here, where the message goes no further
	From        message.Path // return path
	To          []Recipient
	Stage       *storage.Stage // finished; the caller discards it

	notice string    // Postern-Notice, of a notice that was made here
	org    uuid.UUID // whose credential sent it; zero: it came from elsewhere
}

// Receipt is the answer to an accepted message.
type Receipt struct {
	ID        uuid.UUID // names the message in the log and in the reply
	Duplicate bool      // every recipient had it already
}

// RefusedError says that a message was refused for all its recipients, with the
// reply that the peer gets.
type RefusedError = policy.RefusedError

// Deliver stores a message for all its recipients, or for none. It returns
// after the commit. The error is a *RefusedError when the message is not
// wanted; any other is a temporary failure (storage.ErrFull, ErrUnavailable).
func (in *Inbound) Deliver(ctx context.Context, r Received) (Receipt, error) {
	m, err := in.prepare(ctx, &r, stageSource(r.Stage), storage.OriginMX)
	if err != nil {
		return Receipt{}, err
	}
	if err := in.store.Write(ctx, r.Actor, m.store); err != nil {
		return Receipt{}, err
	}
	return Receipt{ID: m.id, Duplicate: m.stored == 0}, nil
}

// refuse records that a message was refused after its data had been seen. A
// stranger's refusal leaves no event of its own, or anybody could fill the log
// from outside: the door counts it with the others of its network. // AU-13
func (in *Inbound) refuse(ctx context.Context, m *mail, rule policy.Rule) error {
	refused := policy.Refusal(rule)
	if m.r.Actor.Kind == audit.Stranger {
		return refused
	}
	err := in.store.Write(ctx, m.r.Actor, func(tx *storage.Tx) error {
		tx.Record(audit.Event{
			Verb: audit.MessageRefused, Outcome: audit.Refused, Org: m.org(), Object: m.id,
			Fields: append(m.fields(), audit.Word(audit.KeyRule, rule.String()),
				audit.Int(audit.KeyCode, refused.Code), audit.Word(audit.KeyEnhanced, refused.Enhanced),
				audit.Int(audit.KeyRecipients, len(m.to))),
			Personal: append(m.personal(), m.recipients()...),
		})
		return nil
	})
	if err != nil {
		return err
	}
	return refused
}

// source is where the bytes of a message are: a stage, or a body that the queue
// has stored already and a local copy shares.
type source struct {
	io.ReaderAt
	size   int64
	sha256 [32]byte
	body   func(tx *storage.Tx) (storage.BodyRef, error)
}

func stageSource(g *storage.Stage) source {
	return source{ReaderAt: g, size: g.Size(), sha256: g.SHA256(),
		body: func(tx *storage.Tx) (storage.BodyRef, error) { return tx.AddBody(g) }}
}
