package directory_test

import (
	"errors"
	"testing"

	"postern/dkim"
	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

func TestAddDomain(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	d, keys, err := w.dir.AddDomain(ctx, admin, w.org, "Bücher.Example.", directory.AssumeOwned{})
	w.must(err)
	if d.Name != "xn--bcher-kva.example" || d.Owned {
		t.Errorf("domain %+v", d)
	}
	algorithms := map[string]bool{}
	for _, k := range keys {
		algorithms[k.Algorithm] = true
		key, err := dkim.ParseKey(k.Private)
		w.must(err)
		if string(key.Algorithm()) != k.Algorithm || k.Selector == "" || k.Domain != d.ID {
			t.Errorf("key %s %s", k.Algorithm, k.Selector)
		}
	}
	if len(keys) != 2 || !algorithms["rsa"] || !algorithms["ed25519"] {
		t.Errorf("keys of kinds %v", algorithms)
	}
	if events := w.events(audit.DKIMCreate); len(events) != 2 || events[0].Personal.Text(audit.KeyAfter) == "" {
		t.Errorf("AU-11: %d events dkim.create with the record to publish", len(events))
	}
	if _, _, err := w.dir.AddDomain(ctx, admin, w.org, "xn--bcher-kva.example", directory.AssumeOwned{}); !errors.Is(err, directory.ErrTaken) {
		t.Errorf("the same domain again: %v", err)
	}
	d, _, err = w.dir.AddDomain(ctx, admin, w.org, "dev.test", directory.AssumeOwned{Reason: "mine"})
	w.must(err)
	if events := w.events(audit.DomainAdd); !d.Owned || events[1].Personal.Text(audit.KeyNote) != "mine" || events[1].Fields.Text(audit.KeyState) != "assumed" {
		t.Error("an assumed ownership and its reason are not on record")
	}
}

func TestDomainNamesRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "localhost", "a..b", "-a.test", "a-.test", "a_b.test", "192.0.2.1", "[192.0.2.1]", "a b.test",
		"a.test\r\nx", "x@a.test", string(make([]byte, 300)) + ".test", "xn--\u00ff.test"} {
		if _, _, err := w.dir.AddDomain(t.Context(), admin, w.org, name, directory.AssumeOwned{}); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestRemoveDomain(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, _, err := w.dir.AddDomain(ctx, admin, w.org, "example.com", directory.AssumeOwned{})
	w.must(err)
	w.inbox("a@example.com", storage.Live)
	if err := w.dir.RemoveDomain(ctx, admin, w.org, "example.com"); !errors.Is(err, directory.ErrInUse) {
		t.Errorf("a domain with an inbox: %v", err)
	}
	w.domain(w.org, "empty.test")
	w.must(w.dir.RemoveDomain(ctx, admin, w.org, "empty.test"))
	if _, ok, err := w.dir.Local(ctx, "empty.test"); ok || err != nil {
		t.Errorf("removed domain is local: %v, %v", ok, err)
	}
}

func TestRecipient(t *testing.T) {
	w := newWorld(t)
	w.domain(w.org, "example.com")
	first := w.inbox("support@example.com", storage.Live)
	for _, c := range []struct {
		path message.Path
		want error
	}{
		{message.Path{Local: "SUPPORT", Domain: "Example.COM"}, nil},
		{message.Path{Local: "nobody", Domain: "example.com"}, directory.ErrNoSuchInbox},
		{message.Path{Local: "support", Domain: "elsewhere.test"}, directory.ErrNotLocal},
		{message.Path{Local: "support", Domain: "[192.0.2.1]"}, directory.ErrNotLocal},
		{message.Path{Local: "Postmaster", Domain: "example.com"}, nil}, // RFC 5321, section 4.5.1
		{message.Path{Local: "postmaster"}, nil},
	} {
		in, err := w.dir.Recipient(t.Context(), c.path)
		if !errors.Is(err, c.want) || c.want == nil && (err != nil || in.ID != first.ID) {
			t.Errorf("%v: %v, %v", c.path, in.Address, err)
		}
	}
	own := w.inbox("postmaster@example.com", storage.Live)
	for _, path := range []message.Path{{Local: "postmaster", Domain: "example.com"}, {Local: "POSTMASTER"}} {
		if in, err := w.dir.Recipient(t.Context(), path); err != nil || in.ID != own.ID {
			t.Errorf("%v with an inbox of that name: %v, %v", path, in.Address, err)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	w, in, a, _, _ := one(t)
	ctx := t.Context()
	if _, err := w.dir.CreateInbox(ctx, admin, w.org, "Support@example.com", storage.Live); !errors.Is(err, directory.ErrTaken) {
		t.Errorf("an address twice: %v", err)
	}
	if _, err := w.dir.CreateInbox(ctx, admin, w.org, "x@nowhere.test", storage.Live); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an unknown domain: %v", err)
	}
	if _, err := w.dir.CreateInbox(ctx, admin, w.org, "x y@example.com", storage.Live); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("a malformed address: %v", err)
	}
	if _, err := w.dir.CreateInbox(ctx, admin, w.org, "x@example.com", "prod"); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("an unknown environment: %v", err)
	}
	if _, err := w.dir.CreateAgent(ctx, admin, w.org, "scout", "ada@example.com", ""); !errors.Is(err, directory.ErrTaken) {
		t.Errorf("an agent's name twice: %v", err)
	}
	for _, name := range []string{"", " a", "a\nb", "a\u200bb", string(make([]byte, 65))} {
		if _, err := w.dir.CreateAgent(ctx, admin, w.org, name, "ada@example.com", ""); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("agent %q: %v", name, err)
		}
	}
	if _, err := w.dir.CreateAgent(ctx, admin, w.org, "other", "nobody", ""); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("an owner without address: %v", err)
	}
	for _, scopes := range [][]storage.Scope{nil, {{Inbox: in.ID}}} {
		if _, _, err := w.dir.CreateCredential(ctx, admin, w.org, directory.CredentialSpec{Agent: a.ID, Scopes: scopes}); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("a credential with scopes %v: %v", scopes, err)
		}
	}
}

func TestVerbs(t *testing.T) {
	v, err := directory.ParseVerbs("read,flag,send")
	if err != nil || v != storage.Read|storage.Flag|storage.Send || directory.FormatVerbs(v) != "read,flag,send" {
		t.Errorf("%v, %v", directory.FormatVerbs(v), err)
	}
	for _, bad := range []string{"", "read,", "all", "read, send"} {
		if _, err := directory.ParseVerbs(bad); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
