package delivery_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/delivery"
	"postern/server/msgauth"
	"postern/storage"
	"postern/storage/audit"
)

// named gives the world names, and the server that tells them.
func (w *world) named(records ...nameserver.Record) *nameserver.Server {
	w.t.Helper()
	names := nameserver.New()
	w.must(names.SetZone(nameserver.Zone{Origin: ".", Nameservers: []string{"ns.test"}, Records: records}))
	w.must(names.Start("127.0.0.1:0"))
	w.t.Cleanup(func() { names.Stop(context.Background()) })
	client, err := dns.NewClient(dns.Config{Servers: []string{names.Addr().String()}, Timeout: time.Second})
	w.must(err)
	checker := &msgauth.Checker{Resolver: dns.NewCache(client, w.clock), Now: w.clock, Timeout: 10 * time.Second}
	w.in = delivery.NewInbound(w.store, w.dir, delivery.Options{Hostname: hostname, Auth: checker, Now: w.clock})
	return names
}

// dmarcReject sets the policy of the organization that an inbox belongs to.
func (w *world) dmarcReject(in storage.InboxRecord, value string) {
	w.t.Helper()
	w.must(w.store.Write(context.Background(), storage.System, func(tx *storage.Tx) error {
		p := storage.Policy{Head: storage.Head{Org: in.Org}, Level: storage.LevelOrganization, Target: in.Org, Values: map[string]string{"dmarc-reject": value}}
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.PolicySet}), &p)
	}))
}

func refusal(err error) string {
	var refused *delivery.RefusedError
	if errors.As(err, &refused) {
		return refused.Rule.String()
	}
	return "no refusal"
}

// TestDMARC_OneReplyForAll: there is one reply to one DATA. Where policies differ,
// the message is in, and in the quarantine of those that refuse.
func TestDMARC_OneReplyForAll(t *testing.T) {
	w := newWorld(t)
	w.named(nameserver.Record{Name: "_dmarc.b.test", Type: nameserver.TXT, Data: "v=DMARC1; p=reject"})
	forged := strings.Replace(plain, "From:", "X:", 1)
	forged = "From: boss@b.test\r\n" + forged
	if _, err := w.deliver(forged, w.a, w.c); refusal(err) != "dmarc" {
		t.Errorf("both refuse: %v", err)
	}
	if e := w.events(audit.MessageRefused); len(e) != 2 || e[0].Fields.Text(audit.KeyRule) != "dmarc" || e[0].Inbox == e[1].Inbox {
		t.Errorf("events of the refusal: %+v", e)
	}
	two := strings.Replace(forged, "boss@b.test", "boss@b.test, x@evil.test", 1)
	if _, err := w.deliver(two, w.a, w.c); refusal(err) != "from-domains" { // RFC 7489, section 6.6.1
		t.Errorf("a second author: %v", err)
	}
	w.dmarcReject(w.c, "no")
	if _, err := w.deliver(forged, w.a, w.c); err != nil {
		t.Errorf("one takes it: %v", err)
	}
	if in, held, other := len(w.mailbox(w.a, storage.RoleInbox)), len(w.mailbox(w.a, storage.RoleQuarantine)), len(w.mailbox(w.c, storage.RoleInbox)); in != 0 || held != 1 || other != 1 {
		t.Errorf("%d and %d at the one that refuses, %d at the other", in, held, other)
	}
	if _, err := w.deliver(forged, w.a); refusal(err) != "dmarc" {
		t.Errorf("to the one alone: %v", err)
	}
	if _, err := w.deliver(forged, w.c); err != nil {
		t.Errorf("to the other alone: %v", err)
	}
}

// TestDMARC_ComesAgain: a domain that asks for refusal, and whose other records
// cannot be had now, is not let in for that.
func TestDMARC_ComesAgain(t *testing.T) {
	w := newWorld(t)
	names := w.named(nameserver.Record{Name: "_dmarc.sender.test", Type: nameserver.TXT, Data: "v=DMARC1; p=reject", TTL: time.Hour})
	text := "From: ada@sender.test\r\nSubject: x\r\n\r\nx\r\n"
	send := func(from string) error {
		r := delivery.Received{Actor: audit.Actor{Kind: audit.Stranger}, Door: "mx", Remote: netip.MustParseAddrPort("192.0.2.1:25"), HELO: "x.test", With: "ESMTP",
			From: w.path(from), To: []delivery.Recipient{{Path: w.path("a@example.com"), Inbox: w.a}}, Stage: w.stage(text)}
		defer r.Stage.Discard()
		_, err := w.in.Deliver(t.Context(), r)
		return err
	}
	if err := send("x@elsewhere.test"); refusal(err) != "dmarc" {
		t.Errorf("while names are there: %v", err)
	}
	w.must(names.Stop(t.Context()))
	if err := send("x@mail.sender.test"); refusal(err) != "dmarc-unknown" {
		t.Errorf("when they are gone: %v", err)
	}
	w.dmarcReject(w.a, "no")
	if err := send("x@mail.sender.test"); err != nil {
		t.Errorf("where policy does not refuse: %v", err)
	}
}

// TestAU13_RefusalsAreBounded: strangers do not fill the log by being refused.
func TestAU13_RefusalsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.named(nameserver.Record{Name: "_dmarc.b.test", Type: nameserver.TXT, Data: "v=DMARC1; p=reject"})
	for range 70 {
		if _, err := w.deliver("From: boss@b.test\r\nSubject: x\r\n\r\nx\r\n", w.a); refusal(err) != "dmarc" {
			t.Fatal(err)
		}
	}
	if n := len(w.events(audit.MessageRefused)); n != 60 {
		t.Errorf("%d events of 70 refusals", n)
	}
	w.advance(time.Hour)
	if _, err := w.deliver("From: boss@b.test\r\nSubject: x\r\n\r\nx\r\n", w.a); refusal(err) != "dmarc" {
		t.Error(err)
	}
	if n := len(w.events(audit.MessageRefused)); n != 61 {
		t.Errorf("%d events an hour later", n)
	}
}
