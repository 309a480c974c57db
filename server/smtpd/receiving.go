package smtpd

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/report"
	"postern/storage"
	"postern/storage/audit"
)

// receiving is the desk of port 25: mail from anybody, to our inboxes only, or a
// report about one of our domains.
type receiving struct {
	c       *conn
	to      []delivery.Recipient
	reports *storage.Domain // the message is for the reports about this domain
}

// sender takes anybody, the null path too: bounces have it (RFC 5321, section 4.5.5).
func (r *receiving) sender(context.Context, message.Path) error { return nil }

// recipient must be one of ours: this is no relay. An inbox that is named twice gets one copy.
func (r *receiving) recipient(ctx context.Context, to message.Path) error {
	in, err := r.c.server.directory.Recipient(ctx, to)
	if errors.Is(err, directory.ErrNoSuchInbox) {
		return r.office(ctx, to)
	}
	switch {
	case err != nil:
		return err
	case r.reports != nil:
		return oneReport
	}
	for _, other := range r.to {
		if other.Inbox.ID == in.ID {
			return nil
		}
	}
	r.to = append(r.to, delivery.Recipient{Path: to, Inbox: in})
	return nil
}

// office takes the address of the reports about a domain. A message for it has no
// other recipient: there is one reply to one DATA, and a report is refused for other
// reasons than mail. RFC 5321, section 4.5.3.1.10: the others may come with another
// message.
func (r *receiving) office(ctx context.Context, to message.Path) error {
	if r.c.server.reports == nil {
		return directory.ErrNoSuchInbox
	}
	d, err := r.c.server.directory.Reports(ctx, to)
	switch {
	case err != nil:
		return err
	case len(r.to) > 0 || r.reports != nil && r.reports.ID != d.ID:
		return oneReport
	}
	r.reports = &d
	return nil
}

// deliver hands the message to its inboxes, all or none, or to the office.
func (r *receiving) deliver(ctx context.Context, stage *storage.Stage) (string, error) {
	c := r.c
	actor := audit.Actor{Kind: audit.Stranger, Network: c.remote.Addr()}
	var id uuid.UUID
	var err error
	if r.reports != nil {
		id, err = c.server.reports.Receive(ctx, report.Mail{Actor: actor, Remote: c.remote.Addr(), HELO: c.hello, From: c.tx.from,
			Domain: *r.reports, Body: stage, Size: stage.Size()})
	} else {
		var receipt delivery.Receipt
		receipt, err = c.server.inbound.Deliver(ctx, delivery.Received{
			Actor: actor, Door: c.door.name,
			Remote: c.remote, HELO: c.hello, TLS: c.tlsVersion(), Cipher: c.tlsCipher(), With: c.protocol(),
			From: c.tx.from, To: r.to, Stage: stage, RequireTLS: c.tx.requireTLS,
		})
		id = receipt.ID
	}
	if err != nil {
		return "", err
	}
	return okMessage + id.String(), nil
}

func (r *receiving) reset() { r.to, r.reports = nil, nil }
func (r *receiving) close() {}
