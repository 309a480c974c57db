package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/dkim"
	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

const (
	hour = time.Hour
	days = 24 * time.Hour
)

// office is a world with one domain, and what the DNS shows of its keys.
type keyOffice struct {
	*world
	domain storage.Domain
	shown  map[string]string // records by selector
	deaf   bool              // nobody can be asked
	slow   time.Duration     // how long a look takes
	keep   time.Duration     // of an answer that there is none
	age    time.Duration     // that policy says; zero: nothing
}

func newKeyOffice(t *testing.T, names storage.DomainNames) *keyOffice {
	t.Helper()
	o := &keyOffice{world: newWorld(t), shown: map[string]string{}}
	o.dir = directory.New(o.store, directory.Options{Now: o.clock, Keys: directory.Keys{
		Sight: func(_ context.Context, _ *storage.Domain, selector, record string) (dkim.Sighting, time.Duration) {
			o.advance(o.slow)
			switch {
			case o.deaf:
				return dkim.Unknown, 0
			case o.shown[selector] == record:
				return dkim.Visible, hour
			}
			return dkim.Absent, o.keep
		},
		Age: func(context.Context, uuid.UUID, uuid.UUID) (time.Duration, bool, error) {
			return o.age, o.age != 0, nil
		},
	}})
	d, keys, err := o.dir.AddDomain(t.Context(), admin, o.org, "alpha.test", directory.AssumeOwned{Reason: "it is mine"})
	o.must(err)
	for _, k := range keys {
		o.shown[k.Selector] = k.Record
	}
	o.must(o.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		now := d
		now.Names = names
		return tx.UpdateDomain(tx.Record(audit.Event{Verb: audit.DomainAdd}), &now)
	}))
	o.domain = d
	return o
}

// publish shows the records of all keys that must be visible.
func (o *keyOffice) publish() {
	clear(o.shown)
	for _, k := range o.keys() {
		if k.State.Visible() {
			o.shown[k.Selector] = k.Record
		}
	}
}

func (o *keyOffice) keys() []storage.DKIMKey {
	o.t.Helper()
	keys, err := o.store.DKIMKeys(o.t.Context(), o.domain.ID)
	o.must(err)
	return keys
}

func (o *keyOffice) turn() {
	o.t.Helper()
	o.must(o.dir.AdvanceKeys(o.t.Context(), o.org, o.domain.ID))
}

// states are those of all keys of an algorithm, by creation.
func (o *keyOffice) states(a dkim.Algorithm) string {
	var all []string
	for _, k := range o.keys() {
		if k.Algorithm == string(a) {
			all = append(all, string(k.State))
		}
	}
	return strings.Join(all, " ")
}

func (o *keyOffice) is(want string) {
	o.t.Helper()
	for _, a := range []dkim.Algorithm{dkim.RSA, dkim.Ed25519} {
		if got := o.states(a); got != want {
			o.t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

// TestCO3_AutomaticRotation follows the keys of a domain whose names are ours through every state, and holds that
// each step is an event with before and after.
func TestCO3_AutomaticRotation(t *testing.T) {
	o := newKeyOffice(t, storage.NamesDelegated)
	o.turn()
	o.is("signing")
	o.advance(directory.DefaultKeyAge)
	o.keep = 20 * time.Minute
	o.turn()
	o.is("signing prepared")
	o.publish()
	o.turn()
	o.is("signing published")
	o.advance(19 * time.Minute)
	o.turn()
	o.is("signing published")
	o.advance(time.Minute)
	o.turn()
	o.is("retiring signing")
	o.advance(7*days - time.Second)
	o.turn()
	o.is("retiring signing")
	for _, k := range o.keys() {
		if len(k.Private) == 0 {
			t.Errorf("%s %s has no private key", k.Selector, k.State)
		}
	}
	o.advance(time.Second)
	o.turn()
	o.is("retired signing")
	for _, k := range o.keys() {
		if (len(k.Private) == 0) != (k.State == dkim.Retired) || !strings.HasPrefix(k.Record, "v=DKIM1") {
			t.Errorf("%s %s: private key of %d bytes, record %q", k.Selector, k.State, len(k.Private), k.Record)
		}
	}
	var said []string
	for _, v := range []audit.Verb{audit.DKIMCreate, audit.DKIMPublish, audit.DKIMSign, audit.DKIMRetire} {
		for _, e := range o.events(v) {
			if e.Fields.Text(audit.KeyAlgorithm) == "rsa" && e.Object == o.domain.ID && e.Outcome == audit.OK {
				after, _, _ := strings.Cut(e.Personal.Text(audit.KeyAfter), "._domainkey")
				said = append(said, fmt.Sprintf("%s %s>%s", e.Verb, e.Personal.Text(audit.KeyBefore), strings.TrimRight(after, "0123456789")))
			}
		}
	}
	want := []string{"dkim.create >r", "dkim.create >r", "dkim.publish prepared>published", "dkim.sign published>signing",
		"dkim.retire signing>retiring", "dkim.retire retiring>retired"}
	if !slices.Equal(said, want) {
		t.Errorf("AU-11: events %q", said)
	}
}

// TestCO3_NothingUnseenSigns holds that the old key signs for as long as the new one is not seen, or not any more, and
// that people are told, and told again.
func TestCO3_NothingUnseenSigns(t *testing.T) {
	o := newKeyOffice(t, storage.NamesByHand)
	o.advance(400 * days)
	o.turn()
	o.is("signing") // by hand: nothing happens by itself
	o.age = 180 * days
	o.turn()
	o.is("signing prepared")
	alerts := func() (n int) {
		all, err := o.store.Alerts(t.Context(), o.org, uuid.Nil, 100, true)
		o.must(err)
		for _, a := range all {
			if a.Kind == storage.AlertDKIMRecordDue && strings.Contains(a.Detail, "._domainkey.alpha.test. 3600 IN TXT \"v=DKIM1; k=") {
				n++
			}
		}
		return n
	}
	if n := alerts(); n != 2 {
		t.Errorf("%d alerts with a record to publish", n)
	}
	for range 8 {
		o.advance(days)
		o.turn()
	}
	o.is("signing prepared")
	if n := alerts(); n != 4 {
		t.Errorf("%d alerts after another week", n)
	}
	o.publish()
	o.turn()
	o.is("signing published")
	o.deaf = true
	o.advance(2 * hour)
	o.turn()
	o.is("signing published") // nobody could say that it is still there
	o.deaf = false
	clear(o.shown)
	o.turn()
	o.is("signing prepared")
	if e := o.events(audit.DKIMPublish); e[len(e)-1].Outcome != audit.Failed || e[len(e)-1].Personal.Text(audit.KeyBefore) != "published" {
		t.Errorf("a record that vanished: %+v", e[len(e)-1])
	}
	o.publish()
	o.turn()
	o.advance(hour)
	o.turn()
	o.is("retiring signing")
}

// TestForcedRotation holds that a person's order starts a rotation at any time, that haste waits for no cache and yet
// for the record, and that a rotation under way is not started again.
func TestForcedRotation(t *testing.T) {
	o := newKeyOffice(t, storage.NamesDelegated)
	o.must(o.dir.RotateKeys(t.Context(), admin, o.org, "alpha.test", directory.KeyOrder{Reason: "drill"}))
	o.is("signing prepared")
	if e := o.events(audit.DKIMRotate); len(e) != 1 || e[0].Personal.Text(audit.KeyNote) != "drill" || e[0].Actor.Kind != admin.Kind {
		t.Errorf("%+v", e)
	}
	o.must(o.dir.RotateKeys(t.Context(), admin, o.org, "alpha.test", directory.KeyOrder{Hasty: true}))
	o.is("signing prepared")
	o.publish()
	o.turn()
	o.is("retiring signing")
	o.must(o.dir.RotateKeys(t.Context(), admin, o.org, "alpha.test", directory.KeyOrder{Hasty: true, Algorithms: []dkim.Algorithm{dkim.RSA}}))
	if o.states(dkim.RSA) != "retiring signing prepared" || o.states(dkim.Ed25519) != "retiring signing" {
		t.Errorf("of one algorithm: %s, %s", o.states(dkim.RSA), o.states(dkim.Ed25519))
	}
	var selectors []string
	for _, k := range o.keys() {
		if slices.Contains(selectors, k.Selector) {
			t.Errorf("selector %s twice", k.Selector)
		}
		selectors = append(selectors, k.Selector)
	}
	var failed error
	for range 10 { // a zone does not grow without bound
		failed = o.dir.RotateKeys(t.Context(), admin, o.org, "alpha.test", directory.KeyOrder{Hasty: true, Algorithms: []dkim.Algorithm{dkim.Ed25519}})
		o.publish()
		o.turn()
	}
	if !errors.Is(failed, directory.ErrState) {
		t.Errorf("more and more keys: %v", failed)
	}
}

// TestTheNextLookIsCountedFromTheLast: a look that took long saw how it was when it began. When to look again follows
// from then, so that what was published meanwhile is not waited for twice.
func TestTheNextLookIsCountedFromTheLast(t *testing.T) {
	o := newKeyOffice(t, storage.NamesByHand)
	o.turn()
	o.must(o.dir.RotateKeys(t.Context(), admin, o.org, "alpha.test", directory.KeyOrder{Reason: "drill"}))
	o.slow = hour
	o.turn()
	due, err := o.store.DueDKIM(t.Context(), 10)
	o.must(err)
	if len(due) != 1 || due[0].Domain != o.domain.ID {
		t.Errorf("due after a look of two hours: %v", due)
	}
}

// TestFixedSelectorsInTurn holds that a domain whose selectors point here by CNAME uses two of each algorithm in turn,
// and neither again before mail signed with it has arrived.
func TestFixedSelectorsInTurn(t *testing.T) {
	o := newKeyOffice(t, storage.NamesCNAME)
	order := directory.KeyOrder{Algorithms: []dkim.Algorithm{dkim.Ed25519}, Hasty: true}
	rotate := func() error {
		err := o.dir.RotateKeys(t.Context(), admin, o.org, "alpha.test", order)
		o.publish()
		o.turn()
		return err
	}
	last := func() string { k := o.keys(); return k[len(k)-1].Selector }
	o.must(rotate())
	if last() != "postern-e1" {
		t.Errorf("first %s", last())
	}
	o.must(rotate())
	if last() != "postern-e2" {
		t.Errorf("then %s", last())
	}
	if err := rotate(); !errors.Is(err, directory.ErrState) {
		t.Errorf("a third while both are needed: %v", err)
	}
	o.advance(7 * days)
	o.turn()
	o.must(rotate())
	if last() != "postern-e1" {
		t.Errorf("then %s", last())
	}
}

// TestCO3_RevokedKey holds that a key which somebody else may have signs no more at once, says so in the DNS, and that
// something else signs.
func TestCO3_RevokedKey(t *testing.T) {
	o := newKeyOffice(t, storage.NamesDelegated)
	first := o.keys()
	revoke := func(k storage.DKIMKey) {
		t.Helper()
		o.must(o.dir.RevokeKey(t.Context(), admin, o.org, "alpha.test", k.Selector, "stolen"))
	}
	for _, k := range first {
		if k.Algorithm == "rsa" {
			revoke(k)
		}
	}
	if o.states(dkim.RSA) != "revoked prepared" || o.states(dkim.Ed25519) != "signing" {
		t.Errorf("one revoked: %s, %s", o.states(dkim.RSA), o.states(dkim.Ed25519))
	}
	for _, k := range first {
		if k.Algorithm == "ed25519" {
			revoke(k)
		}
	}
	if o.states(dkim.RSA) != "revoked prepared" || o.states(dkim.Ed25519) != "revoked signing" {
		t.Errorf("both revoked: %s, %s", o.states(dkim.RSA), o.states(dkim.Ed25519))
	}
	for _, k := range o.keys() {
		if k.State == dkim.Revoked && (k.Private != nil || !strings.HasSuffix(k.Record, "; p=")) {
			t.Errorf("%s: %d bytes of private key, record %q", k.Selector, len(k.Private), k.Record)
		}
	}
	if err := o.dir.RevokeKey(t.Context(), admin, o.org, "alpha.test", first[0].Selector, ""); !errors.Is(err, directory.ErrState) {
		t.Errorf("a second time: %v", err)
	}
	o.publish()
	o.turn() // in haste: what was seen signs
	o.is("revoked signing")
	o.advance(7 * days)
	o.turn()
	o.is("retired signing")
	if e := o.events(audit.DKIMRevoke); len(e) != 2 || e[0].Personal.Text(audit.KeyNote) != "stolen" {
		t.Errorf("%+v", e)
	}
}

// TestRetireKey holds which keys a person may end, and when.
func TestRetireKey(t *testing.T) {
	o := newKeyOffice(t, storage.NamesDelegated)
	retire := func(selector string) error {
		return o.dir.RetireKey(t.Context(), admin, o.org, "alpha.test", selector)
	}
	var rsa, ed string
	for _, k := range o.keys() {
		if k.Algorithm == "rsa" {
			rsa = k.Selector
		} else {
			ed = k.Selector
		}
	}
	o.must(retire(ed))
	if err := retire(rsa); !errors.Is(err, directory.ErrState) {
		t.Errorf("the last one that signs: %v", err)
	}
	if err := retire(ed); !errors.Is(err, directory.ErrState) || !strings.Contains(err.Error(), "may be under way until 2026-01-09") {
		t.Errorf("while mail is under way: %v", err)
	}
	if err := retire("nobody"); !errors.Is(err, directory.ErrNoSuchKey) {
		t.Errorf("%v", err)
	}
	o.must(o.dir.RotateKeys(t.Context(), admin, o.org, "alpha.test", directory.KeyOrder{Algorithms: []dkim.Algorithm{dkim.RSA}}))
	next := o.keys()[2]
	o.must(retire(next.Selector))
	if o.states(dkim.RSA) != "signing retired" || o.states(dkim.Ed25519) != "retiring" {
		t.Errorf("%s, %s", o.states(dkim.RSA), o.states(dkim.Ed25519))
	}
	o.advance(7 * days)
	o.must(retire(ed))
	if err := retire(ed); !errors.Is(err, directory.ErrState) {
		t.Errorf("a retired one: %v", err)
	}
	_, statuses, err := o.dir.KeyStatuses(t.Context(), o.org, "alpha.test")
	o.must(err)
	for _, s := range statuses {
		if wait := s.Awaits; (s.Selector == rsa) != (wait == dkim.AwaitAge) || s.State == dkim.Retired && s.Safe != s.Retired {
			t.Errorf("%s %s awaits %q, safe at %s", s.Selector, s.State, wait, s.Safe)
		}
	}
}
