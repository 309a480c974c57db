package relay_test

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"github.com/google/uuid"

	"postern/dkim"
	"postern/dns/nameserver"
	"postern/server/directory"
	"postern/server/queue"
	"postern/server/relay"
	"postern/storage"
	"postern/storage/seal"
)

type office struct {
	dir *directory.Directory
	org uuid.UUID
}

func newOffice(t *testing.T) *office {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), storage.Config{Dir: filepath.Join(home, "data"), Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	dir := directory.New(store, directory.Options{})
	org, err := dir.Organization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &office{dir, org.ID}
}

func (o *office) item(t *testing.T, from, to, mail string) queue.Item {
	return queue.Item{
		Outgoing: storage.Outgoing{Head: storage.Head{Org: o.org}, Message: uuid.New(), Size: int64(len(mail))},
		Sender:   path(t, from), Recipient: path(t, to), Body: strings.NewReader(mail),
	}
}

// The queue's attempt signs with both keys of the sender's domain, as the
// directory made them, and reports what left.
func TestTransportSigns(t *testing.T) {
	l, o := newLab(t), newOffice(t)
	h := l.host("mx.test", "127.0.0.2", secure.script)
	l.record("to.test", nameserver.MX, "10 mx.test")
	_, keys, err := o.dir.AddDomain(t.Context(), storage.System, o.org, "from.test", directory.AssumeOwned{Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]string{}
	for _, k := range keys {
		key, err := dkim.ParseKey(k.Private)
		if err != nil {
			t.Fatal(err)
		}
		records[dkim.RecordName(k.Selector, "from.test")] = key.Record()
	}
	tr := relay.NewTransport(l.relay(), o.dir, nil)
	a, b := o.item(t, "agent@From.test", "a@to.test", letter), o.item(t, "agent@From.test", "b@to.test", letter)
	got := tr.Attempt(t.Context(), []queue.Item{a, b})
	if len(got) != 2 || got[1].Outcome != queue.Delivered || got[1].Rule != "accepted" || got[1].TLS != "TLS 1.3" || got[1].Host != "mx.test" {
		t.Fatalf("%+v", got)
	}
	mail := h.mails()[0]
	if got[0].Size != int64(len(mail)) || !strings.HasSuffix(mail, letter) {
		t.Errorf("%d octets of %d", got[0].Size, len(mail))
	}
	verdicts, err := msgauth.VerifyWithOptions(strings.NewReader(mail), &msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if r, ok := records[name]; ok {
			return []string{r}, nil
		}
		return nil, fmt.Errorf("no record %s", name)
	}})
	if err != nil || len(verdicts) != 2 || verdicts[0].Err != nil || verdicts[1].Err != nil || verdicts[0].Domain != "from.test" {
		t.Errorf("%v, %v", verdicts, err)
	}
}

// TestCO3_OnlyKeysThatSignAreUsed holds that neither a key that nobody has seen yet nor
// one that was revoked a moment ago signs, though it did before.
func TestCO3_OnlyKeysThatSignAreUsed(t *testing.T) {
	l, o := newLab(t), newOffice(t)
	h := l.host("mx.test", "127.0.0.2", secure.script)
	l.record("to.test", nameserver.MX, "10 mx.test")
	_, keys, err := o.dir.AddDomain(t.Context(), storage.System, o.org, "from.test", directory.AssumeOwned{Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	tr := relay.NewTransport(l.relay(), o.dir, nil)
	send := func() (selectors []string) {
		t.Helper()
		if got := tr.Attempt(t.Context(), []queue.Item{o.item(t, "agent@from.test", "a@to.test", letter)}); got[0].Outcome != queue.Delivered {
			t.Fatalf("%+v", got)
		}
		mails := h.mails()
		for _, k := range keys {
			if strings.Contains(mails[len(mails)-1], " s="+k.Selector+";") {
				selectors = append(selectors, k.Algorithm)
			}
		}
		if n := strings.Count(mails[len(mails)-1], "DKIM-Signature:"); n != len(selectors) {
			t.Errorf("%d signatures, of which %v are by the first keys", n, selectors)
		}
		return selectors
	}
	if got := send(); len(got) != 2 {
		t.Errorf("at first %v", got)
	}
	if err := o.dir.RotateKeys(t.Context(), storage.System, o.org, "from.test", directory.KeyOrder{}); err != nil {
		t.Fatal(err)
	}
	if got := send(); len(got) != 2 {
		t.Errorf("while the next are prepared %v", got)
	}
	for _, k := range keys {
		if k.Algorithm == string(dkim.RSA) {
			if err := o.dir.RevokeKey(t.Context(), storage.System, o.org, "from.test", k.Selector, "stolen"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := send(); !slices.Equal(got, []string{string(dkim.Ed25519)}) {
		t.Errorf("after one was revoked %v", got)
	}
}

func TestTransportRefuses(t *testing.T) {
	l, o := newLab(t), newOffice(t)
	h := l.host("to.test", "127.0.0.2", plain.script)
	if _, _, err := o.dir.AddDomain(t.Context(), storage.System, o.org, "unproved.test", directory.AssumeOwned{}); err != nil {
		t.Fatal(err)
	}
	tr := relay.NewTransport(l.relay(), o.dir, nil)
	for from, want := range map[string]queue.Result{
		"a@unproved.test": {Outcome: queue.Permanent, Rule: "sender-domain-not-proved", Enhanced: "5.7.1"},
		"a@gone.test":     {Outcome: queue.Permanent, Rule: "sender-domain-gone", Enhanced: "5.1.8"},
	} {
		got := tr.Attempt(t.Context(), []queue.Item{o.item(t, from, "a@to.test", letter)})
		if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: %+v", from, got)
		}
	}
	other := o.item(t, "a@unproved.test", "a@to.test", letter)
	other.Org = uuid.New() // AC-19: another organization's domain is none
	if got := tr.Attempt(t.Context(), []queue.Item{other}); got[0].Rule != "sender-domain-gone" {
		t.Errorf("%+v", got)
	}
	if h.heard("connect") != 0 {
		t.Error("connected")
	}
}

// TestAC14_TestMailNeverConnects holds the second lock: what stands in the queue for a test inbox, however it came
// there, is refused before a name is asked for or a host is called.
func TestAC14_TestMailNeverConnects(t *testing.T) {
	l, o := newLab(t), newOffice(t)
	h := l.host("to.test", "127.0.0.2", plain.script)
	if _, _, err := o.dir.AddDomain(t.Context(), storage.System, o.org, "from.test", directory.AssumeOwned{Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
	trial, err := o.dir.CreateInbox(t.Context(), storage.System, o.org, "trial@from.test", storage.Test)
	if err != nil {
		t.Fatal(err)
	}
	mail := o.item(t, "trial@from.test", "a@to.test", letter)
	mail.Inbox = trial.ID
	got := relay.NewTransport(l.relay(), o.dir, nil).Attempt(t.Context(), []queue.Item{mail, mail})
	if len(got) != 2 || got[1].Outcome != queue.Permanent || got[1].Rule != "test-environment" {
		t.Errorf("%+v", got)
	}
	if h.heard("connect") != 0 {
		t.Error("connected")
	}
}

// What is no failure of anybody does not count as an attempt.
func TestTransportCancelled(t *testing.T) {
	l, o := newLab(t), newOffice(t)
	if _, _, err := o.dir.AddDomain(t.Context(), storage.System, o.org, "from.test", directory.AssumeOwned{Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.host("to.test", "127.0.0.2", func(c *conv) {
		cancel()
		c.hear()
	})
	got := relay.NewTransport(l.relay(), o.dir, nil).Attempt(ctx, []queue.Item{o.item(t, "a@from.test", "a@to.test", letter)})
	if got[0].Outcome != queue.NotTried || got[0].Rule != "cancelled" {
		t.Errorf("%+v", got)
	}
}
