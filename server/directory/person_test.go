package directory_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

const phrase = "correct-horse-battery"

// enrol gives a person an account, as a command does.
func (w *world) enrol(address string, roles ...storage.PersonRole) (storage.Person, *directory.Factor) {
	w.t.Helper()
	p, f, err := w.dir.CreatePerson(w.t.Context(), admin, w.org, directory.PersonSpec{Address: address, Roles: roles, Password: phrase, Factor: true})
	w.must(err)
	return p, f
}

// codeAt is what an authenticator shows so far from now.
func (w *world) codeAt(f *directory.Factor, off time.Duration) string {
	w.t.Helper()
	code, err := totp.GenerateCode(f.Secret, w.clock().Add(off))
	w.must(err)
	return code
}

// enter logs a person in, from one address or another.
func (w *world) enter(address, password, code string, from ...string) (*directory.PersonSession, string, error) {
	a := directory.PersonAttempt{Org: w.org, Address: address, Password: password, Code: code, Door: "control", Unix: "root", Peer: admin}
	if len(from) > 0 {
		a.Network = netip.MustParseAddr(from[0])
	}
	return w.dir.Login(w.t.Context(), a)
}

// refusedBy is the rule by which a login was refused, empty when it was not.
func (w *world) refusedBy(err error) string {
	w.t.Helper()
	var no *directory.AuthError
	if !errors.As(err, &no) {
		if err != nil {
			w.t.Error(err)
		}
		return ""
	}
	if no.Class != directory.ErrCredentials || !strings.HasPrefix(no.Public(), "authentication failed (") {
		w.t.Errorf("rule %s is told apart: %q", no.Rule, no.Public())
	}
	return no.Rule
}

// TestAC15_CodeWorksOnce: a code is good for its step and one on each side, and
// once; never an older one after a newer.
func TestAC15_CodeWorksOnce(t *testing.T) {
	w := newWorld(t)
	_, f := w.enrol("ada@example.com", storage.PersonAdmin)
	try := func(what, code, want string) {
		t.Helper()
		if _, _, err := w.enter("ADA@example.com", phrase, code); w.refusedBy(err) != want {
			t.Errorf("%s: refused by %q, want %q", what, w.refusedBy(err), want)
		}
	}
	try("two steps behind", w.codeAt(f, -time.Minute), "code")
	try("two steps ahead", w.codeAt(f, time.Minute), "code")
	try("no code", "", "code")
	behind, now := w.codeAt(f, -30*time.Second), w.codeAt(f, 0)
	try("one step behind", behind[:3]+" "+behind[3:], "")
	try("the same again", behind, "code-used")
	try("now", now, "")
	try("one behind after now", behind, "code-used")
	w.advance(10 * time.Minute) // wrong codes count for a while
	try("one step ahead", w.codeAt(f, 30*time.Second), "")
	try("now, after it", w.codeAt(f, 0), "code-used")
	try("a recovery code", strings.ToUpper(f.Recovery[3]), "")
	try("the same again", f.Recovery[3], "code")
	try("another", f.Recovery[0], "")
	logins := w.events(audit.PersonLogin)
	if got := logins[len(logins)-1].Fields.Text(audit.KeyFactor); got != "recovery" {
		t.Errorf("the factor on record is %q", got)
	}
}

// TestAC15_CodeWorksOnceAmongMany: of logins at the same moment with one code,
// one gets in.
func TestAC15_CodeWorksOnceAmongMany(t *testing.T) {
	w := newWorld(t)
	_, f := w.enrol("ada@example.com", storage.PersonAdmin)
	code := w.codeAt(f, 0)
	var all sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for range 8 {
		all.Go(func() {
			if _, _, err := w.enter("ada@example.com", phrase, code); err == nil {
				mu.Lock()
				in++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if in != 1 {
		t.Errorf("%d logins with one code", in)
	}
}

// TestAC12_PeopleAreGuessedAtInVain: wrong passwords count where they come from,
// wrong codes everywhere, and nobody learns which it was.
func TestAC12_PeopleAreGuessedAtInVain(t *testing.T) {
	w := newWorld(t)
	_, f := w.enrol("ada@example.com", storage.PersonAdmin)
	for range 5 {
		if _, _, err := w.enter("ada@example.com", "wrong-horse-battery", "", "192.0.2.1"); w.refusedBy(err) != "password" {
			t.Errorf("a wrong password: %v", err)
		}
	}
	if _, _, err := w.enter("ada@example.com", phrase, w.codeAt(f, 0), "192.0.2.2"); w.refusedBy(err) != "person-failures" {
		t.Errorf("from the network of the guesser: %v", err)
	}
	if _, _, err := w.enter("ada@example.com", phrase, w.codeAt(f, 0), "198.51.100.1"); err != nil {
		t.Errorf("an outsider locked her out: %v", err)
	}
	if _, _, err := w.enter("nobody@example.com", phrase, "", "203.0.113.1"); w.refusedBy(err) != "person-unknown" {
		t.Errorf("nobody: %v", err)
	}
	for i := range 10 { // the password is known, from ever other networks
		if _, _, err := w.enter("ada@example.com", phrase, "000000", netip.AddrFrom4([4]byte{203, 0, byte(i), 1}).String()); w.refusedBy(err) != "code" {
			t.Errorf("a wrong code: %v", err)
		}
	}
	if _, _, err := w.enter("ada@example.com", phrase, "000000", "203.0.200.1"); w.refusedBy(err) != "person-failures" {
		t.Errorf("codes can be guessed from many networks: %v", err)
	}
	w.must(w.dir.Flush(t.Context()))
	if known, strangers := w.events(audit.PersonRefused), w.events(audit.StrangersRefused); len(known) != 15 || len(strangers) != 3 {
		t.Errorf("AU-13: %d events of a known person and %d of strangers", len(known), len(strangers))
	}
}

// TestAC9_PersonIsOutAtOnce: what ends an account or its secrets ends its sessions.
func TestAC9_PersonIsOutAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.enrol("root@example.com", storage.PersonAdmin)
	p, f := w.enrol("ada@example.com", storage.PersonAdmin)
	sessions := func() (first, second string, actor audit.Actor) {
		ps, first, err := w.dir.StartSession(ctx, admin, p, directory.SessionSpec{Door: "control", Factor: true})
		w.must(err)
		_, second, err = w.dir.StartSession(ctx, admin, p, directory.SessionSpec{Door: "control", Factor: true})
		w.must(err)
		return first, second, (&directory.PersonSession{Person: p, Session: ps}).Actor("root", netip.Addr{})
	}
	live := func(token string) bool { _, err := w.dir.PersonSession(ctx, token); return err == nil }

	first, second, self := sessions()
	by, err := w.dir.PersonSession(ctx, first)
	w.must(err)
	if _, _, err := w.dir.SetPassword(ctx, by, self, "wrong-horse-battery", "another-battery-staple"); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("another password without the present one: %v", err)
	}
	_, goesOn, err := w.dir.SetPassword(ctx, by, self, phrase, "another-battery-staple")
	w.must(err)
	if !live(goesOn) || live(first) || live(second) {
		t.Error("an old token outlives a change of password, or the new one does not live")
	}
	if _, _, err := w.enter("ada@example.com", phrase, w.codeAt(f, 0)); w.refusedBy(err) != "password" {
		t.Errorf("the old password: %v", err)
	}
	if _, _, err := w.enter("ada@example.com", "another-battery-staple", w.codeAt(f, 0)); err != nil {
		t.Errorf("the new password: %v", err)
	}
	first, second, _ = sessions()
	_, fresh, err := w.dir.ResetFactor(ctx, admin, w.org, p.ID)
	w.must(err)
	if live(first) || live(second) || fresh.Secret == f.Secret {
		t.Error("a session outlives the second factor, or the factor is the same")
	}
	if _, _, err := w.enter("ada@example.com", "another-battery-staple", f.Recovery[0]); w.refusedBy(err) != "code" {
		t.Errorf("a recovery code of the old factor: %v", err)
	}
	first, _, self = sessions()
	_, err = w.dir.DisablePerson(ctx, admin, w.org, p.ID, "left")
	w.must(err)
	if live(first) {
		t.Error("a disabled person acts")
	}
	if _, _, err := w.enter("ada@example.com", "another-battery-staple", w.codeAt(fresh, 0)); w.refusedBy(err) != "disabled" {
		t.Errorf("a disabled person: %v", err)
	}
	if _, _, err := w.dir.Consent(ctx, self, w.org, "release", 1); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a disabled person consents: %v", err)
	}
	_, err = w.dir.EnablePerson(ctx, admin, w.org, p.ID)
	w.must(err)
	if live(first) {
		t.Error("a session came back with its person")
	}
}

// TestAC15_LastAdminStays: an installation without one could not be mended.
func TestAC15_LastAdminStays(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	one, _ := w.enrol("ada@example.com", storage.PersonAdmin, storage.PersonReviewer)
	two, _ := w.enrol("bob@example.com", storage.PersonAdmin)
	reviewer := []storage.PersonRole{storage.PersonReviewer}
	_, err := w.dir.SetRoles(ctx, admin, w.org, two.ID, reviewer)
	w.must(err)
	if _, err := w.dir.SetRoles(ctx, admin, w.org, one.ID, reviewer); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("the last admin loses the role: %v", err)
	}
	if _, err := w.dir.DisablePerson(ctx, admin, w.org, one.ID, "left"); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("the last admin is disabled: %v", err)
	}
	_, err = w.dir.SetRoles(ctx, admin, w.org, two.ID, []storage.PersonRole{storage.PersonAdmin})
	w.must(err)
	// Of two who disable each other at once, one stays.
	var all sync.WaitGroup
	errs := make([]error, 2)
	for i, p := range []storage.Person{one, two} {
		all.Go(func() { _, errs[i] = w.dir.DisablePerson(ctx, admin, w.org, p.ID, "left") })
	}
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two admins disabled at once: %v", errs)
	}
	changes := w.events(audit.PersonChange)
	last := changes[len(changes)-1]
	if !strings.Contains(last.Personal.Text(audit.KeyBefore), " active ") || !strings.Contains(last.Personal.Text(audit.KeyAfter), " disabled ") {
		t.Errorf("AC-2: %v without before and after", last.Personal)
	}
}

// TestAC15_MadeByAnotherIsNoSecond: neither a new account nor an old one of which
// another holds the secrets since today counts where two are needed.
func TestAC15_MadeByAnotherIsNoSecond(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, ada, _ := w.person("ada@example.com", storage.PersonAdmin)
	for name, change := range map[string]func(storage.Person) error{
		"password": func(p storage.Person) error {
			_, err := w.dir.ChangePassword(ctx, ada, w.org, p.ID, phrase)
			return err
		},
		"factor": func(p storage.Person) error { _, _, err := w.dir.ResetFactor(ctx, ada, w.org, p.ID); return err },
		"roles": func(p storage.Person) error {
			_, err := w.dir.SetRoles(ctx, ada, w.org, p.ID, []storage.PersonRole{storage.PersonAdmin})
			return err
		},
	} {
		p, actor, _ := w.person(name+"@example.com", storage.PersonReviewer)
		w.advance(25 * time.Hour)
		if _, _, err := w.dir.Consent(ctx, actor, w.org, name, 2); err != nil {
			t.Errorf("an old account: %v", err)
		}
		w.must(change(p))
		if _, _, err := w.dir.Consent(ctx, actor, w.org, name, 2); !errors.Is(err, directory.ErrRefused) {
			t.Errorf("after another changed the %s: %v", name, err)
		}
	}
}

func TestCreatePersonRefuses(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	good := directory.PersonSpec{Address: "ada@example.com", Roles: []storage.PersonRole{storage.PersonAdmin}, Password: phrase, Factor: true, First: true}
	for what, change := range map[string]func(*directory.PersonSpec){
		"no address":          func(s *directory.PersonSpec) { s.Address = "ada" },
		"no role":             func(s *directory.PersonSpec) { s.Roles = nil },
		"an unknown role":     func(s *directory.PersonSpec) { s.Roles = []storage.PersonRole{"owner"} },
		"a short password":    func(s *directory.PersonSpec) { s.Password = "eleven byte" },
		"a long password":     func(s *directory.PersonSpec) { s.Password = strings.Repeat("x", 129) },
		"a very long one":     func(s *directory.PersonSpec) { s.Password = strings.Repeat("x", 1<<20) },
		"no text":             func(s *directory.PersonSpec) { s.Password = strings.Repeat("\xff", 20) },
		"the address itself":  func(s *directory.PersonSpec) { s.Password = "Ada@Example.com" },
		"a first that is not": func(s *directory.PersonSpec) { s.Roles = []storage.PersonRole{storage.PersonAuditor} },
	} {
		spec := good
		change(&spec)
		if _, _, err := w.dir.CreatePerson(ctx, admin, w.org, spec); !errors.Is(err, directory.ErrInvalid) && !errors.Is(err, directory.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Of two firsts at once, one is.
	var all sync.WaitGroup
	errs := make([]error, 2)
	for i, address := range []string{"ada@example.com", "bob@example.com"} {
		all.Go(func() {
			spec := good
			spec.Address = address
			_, _, errs[i] = w.dir.CreatePerson(ctx, admin, w.org, spec)
		})
	}
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two firsts: %v", errs)
	}
	people, err := w.dir.People(ctx, w.org, storage.NewID(), 10)
	if err != nil || len(people) != 0 {
		t.Errorf("a page after the last: %v, %v", people, err)
	}
	spec := good
	spec.First, spec.Address = false, "ADA@example.com"
	if people, err = w.dir.People(ctx, w.org, [16]byte{}, 10); err != nil || len(people) != 1 {
		t.Fatalf("%v, %v", people, err)
	}
	spec.Address = people[0].Address
	if _, _, err := w.dir.CreatePerson(ctx, admin, w.org, spec); !errors.Is(err, directory.ErrTaken) {
		t.Errorf("an address twice: %v", err)
	}
}

// TestPasswordIsNormal: the same letters typed on another keyboard are the same
// password.
func TestPasswordIsNormal(t *testing.T) {
	w := newWorld(t)
	_, f, err := w.dir.CreatePerson(t.Context(), admin, w.org, directory.PersonSpec{Address: "ada@example.com",
		Roles: []storage.PersonRole{storage.PersonAdmin}, Password: "Bu\u0308cherwürmer!", Factor: true})
	w.must(err)
	if _, _, err := w.enter("ada@example.com", "B\u00fccherwu\u0308rmer!", w.codeAt(f, 0)); err != nil {
		t.Errorf("composed and decomposed: %v", err)
	}
}

// TestAC15_WithoutFactor: such a session says so.
func TestAC15_WithoutFactor(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.dir.CreatePerson(t.Context(), admin, w.org, directory.PersonSpec{Address: "ada@example.com",
		Roles: []storage.PersonRole{storage.PersonAdmin}, Password: phrase})
	w.must(err)
	ps, _, err := w.enter("ada@example.com", phrase, "")
	if err != nil || ps.Session.Factor {
		t.Errorf("a session of somebody without a second factor: %+v, %v", ps, err)
	}
	w.enrol("bob@example.com", storage.PersonAuditor)
	p, _, err := w.dir.CreatePerson(t.Context(), admin, w.org, directory.PersonSpec{Address: "eve@example.com",
		Roles: []storage.PersonRole{storage.PersonAuditor}, Factor: true})
	w.must(err)
	if _, _, err := w.enter(p.Address, "", ""); w.refusedBy(err) != "password" {
		t.Errorf("a login without a password to an account without one: %v", err)
	}
}

// TestAC6_PeopleInADump: nothing in the files lets anybody in.
func TestAC6_PeopleInADump(t *testing.T) {
	w := newWorld(t)
	_, f := w.enrol("ada@example.com", storage.PersonAdmin)
	_, token, err := w.enter("ada@example.com", phrase, w.codeAt(f, 0))
	w.must(err)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(f.Secret)
	w.must(err)
	w.must(w.store.Close())
	dir := w.data
	w.must(filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, text := range append(f.Recovery, phrase, token, token[12:], f.Secret, string(secret), "ada@example.com", strings.ReplaceAll(f.Recovery[0], "-", "")) {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s holds %q", filepath.Base(path), text)
			}
		}
		return err
	}))
}

// TestAC19_PeopleOfOthersAreNobody: an account lets in at its own organization.
func TestAC19_PeopleOfOthersAreNobody(t *testing.T) {
	w := newWorld(t)
	w.enrol("ada@example.com", storage.PersonAdmin)
	other, err := w.dir.CreateOrganization(t.Context(), admin, "other")
	w.must(err)
	_, f, err := w.dir.CreatePerson(t.Context(), admin, other.ID, directory.PersonSpec{Address: "eve@example.com",
		Roles: []storage.PersonRole{storage.PersonAdmin}, Password: phrase, Factor: true, First: true})
	w.must(err)
	if _, _, err := w.enter("eve@example.com", phrase, w.codeAt(f, 0)); w.refusedBy(err) != "person-unknown" {
		t.Errorf("somebody of another organization: %v", err)
	}
}

// TestSessionsOfOnePersonAreBounded: the oldest makes room.
func TestSessionsOfOnePersonAreBounded(t *testing.T) {
	w := newWorld(t)
	p, _, first := w.person("ada@example.com", storage.PersonAdmin)
	for range 20 {
		_, _, err := w.dir.StartSession(t.Context(), admin, p, directory.SessionSpec{Door: "control"})
		w.must(err)
	}
	all, err := w.dir.PersonSessions(t.Context(), w.org, p.ID)
	if err != nil || len(all) != 20 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	if _, err := w.dir.PersonSession(t.Context(), first); !errors.Is(err, directory.ErrSession) {
		t.Errorf("the oldest: %v", err)
	}
}

// TestLoginGivesUp: who hangs up does not wait for a turn to hash.
func TestLoginGivesUp(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := w.dir.Login(ctx, directory.PersonAttempt{Org: w.org, Address: "ada@example.com", Password: phrase, Door: "control", Peer: admin})
	var no *directory.AuthError
	if !errors.As(err, &no) || no.Class != directory.ErrUnavailable {
		t.Errorf("%v", err)
	}
}

// BenchmarkLogin is one password's hash and the two writes around it.
func BenchmarkLogin(b *testing.B) {
	w := newWorld(b)
	_, _, err := w.dir.CreatePerson(b.Context(), admin, w.org, directory.PersonSpec{Address: "ada@example.com",
		Roles: []storage.PersonRole{storage.PersonAdmin}, Password: phrase})
	w.must(err)
	for b.Loop() {
		_, _, err := w.dir.Login(b.Context(), directory.PersonAttempt{Org: w.org, Address: "ada@example.com", Password: phrase, Door: "control", Peer: admin})
		w.must(err)
	}
}

// BenchmarkPersonSession is what a session costs each command.
func BenchmarkPersonSession(b *testing.B) {
	w := newWorld(b)
	_, _, token := w.person("ada@example.com", storage.PersonAdmin)
	for b.Loop() {
		_, err := w.dir.PersonSession(b.Context(), token)
		w.must(err)
	}
}
