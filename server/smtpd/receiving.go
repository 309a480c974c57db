package smtpd

import (
	"context"

	"postern/server/delivery"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// receiving is the desk of port 25: mail from anybody, to our inboxes only.
type receiving struct {
	c  *conn
	to []delivery.Recipient
}

// sender takes anybody, the null path too: bounces have it (RFC 5321, section 4.5.5).
func (r *receiving) sender(context.Context, message.Path) error { return nil }

// recipient must be one of ours: this is no relay. An inbox that is named twice gets one copy.
func (r *receiving) recipient(ctx context.Context, to message.Path) error {
	in, err := r.c.server.directory.Recipient(ctx, to)
	if err != nil {
		return err
	}
	for _, other := range r.to {
		if other.Inbox.ID == in.ID {
			return nil
		}
	}
	r.to = append(r.to, delivery.Recipient{Path: to, Inbox: in})
	return nil
}

// deliver hands the message to its inboxes, all or none.
func (r *receiving) deliver(ctx context.Context, stage *storage.Stage) (string, error) {
	c := r.c
	receipt, err := c.server.inbound.Deliver(ctx, delivery.Received{
		Actor:  audit.Actor{Kind: audit.Stranger, Network: c.remote.Addr()},
		Door:   c.door.name,
		Remote: c.remote, HELO: c.hello, TLS: c.tlsVersion(), Cipher: c.tlsCipher(), With: c.protocol(),
		From: c.tx.from, To: r.to, Stage: stage,
	})
	if err != nil {
		return "", err
	}
	return okMessage + receipt.ID.String(), nil
}

func (r *receiving) reset() { r.to = nil }
func (r *receiving) close() {}
