package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// Steps are all steps, in their order.
func Steps() []storage.SetupStep {
	return []storage.SetupStep{storage.SetupName, storage.SetupKeys, storage.SetupAdmin, storage.SetupDomain, storage.SetupAgent}
}

// Options are what a guide needs. Managed, Host, Wired and Apply depend on the
// configuration. Addresses, Port and Now may be left out, and so may Resolver where Look is
// not asked.
type Options struct {
	Managed bool     // no configuration names this server: what is set here counts
	Host    string   // that the configuration names, where it does
	Wired   Settings // that this server was made with
	// Check says what is wrong with settings by themselves; nil: nothing is.
	Check func(Settings) error
	// Used is called when the last link leads nowhere any more; nil: nobody is told.
	Used func()
	// Apply has the server made anew with what is set now.
	Apply func()
	// Looked is what the server before this one found. It counts where it was about the
	// same name and addresses.
	Looked Looked

	Addresses func() []string // of this machine, as others may reach it
	Resolver  dns.Resolver
	Port      int // of mail exchange, for the attempt to reach somebody's; zero: 25
	Now       func() time.Time
}

// Guide knows how far the set-up is.
type Guide struct {
	o     Options
	store *storage.Store
	dir   *directory.Directory
	now   func() time.Time

	mu     sync.Mutex
	looked Looked
}

// New makes a guide.
func New(store *storage.Store, dir *directory.Directory, o Options) *Guide {
	g := &Guide{o: o, store: store, dir: dir, now: o.Now}
	if g.now == nil {
		g.now = time.Now
	}
	if l := &o.Looked; l.host == cmp.Or(o.Host, o.Wired.Host) && slices.Equal(l.addresses, o.Wired.Addresses) {
		g.looked = *l
	}
	if g.o.Used == nil {
		g.o.Used = func() {}
	}
	if g.o.Port == 0 {
		g.o.Port = 25
	}
	return g
}

// Settings are what a set-up says in place of a configuration file.
type Settings struct {
	Host      string
	Addresses []string
	Directory string // authority for certificates
	Contact   string
	Open      bool // doors for mail
}

// Equal reports whether both say the same.
func (s Settings) Equal(t Settings) bool {
	return s.Host == t.Host && s.Directory == t.Directory && s.Contact == t.Contact && s.Open == t.Open && slices.Equal(s.Addresses, t.Addresses)
}

// Load reads what an organization's set-up says; zero where there was none.
func Load(ctx context.Context, store *storage.Store, org uuid.UUID) (Settings, error) {
	u, err := store.Setup(ctx, org)
	if errors.Is(err, storage.ErrNotFound) {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, err
	}
	people, err := store.People(ctx, org, uuid.Nil, 1)
	return settings(&u, len(people) > 0), err
}

func settings(u *storage.Setup, people bool) Settings {
	return Settings{Host: u.Host, Addresses: u.Addresses, Directory: u.Directory, Contact: u.Contact,
		Open: u.Host != "" && (people || !u.Finished.IsZero())}
}

// State is how far an installation is.
type State struct {
	Managed  bool
	Needed   bool // it is managed, and has not come to its end
	Host     string
	Setup    storage.Setup
	Open     bool // doors for mail are open
	Steps    []Step
	Anybody  bool // somebody has an account
	Unproved bool // there is a recovery key, and nobody has shown that they keep it
}

// Step is one step of a set-up.
type Step struct {
	Name storage.SetupStep
	Done bool
	Skip bool // it was put off
}

// Next is the first step that is neither done nor put off; empty when there is none.
func (s *State) Next() storage.SetupStep {
	for _, step := range s.Steps {
		if !step.Done && !step.Skip {
			return step.Name
		}
	}
	return ""
}

// State finds out how far an organization's installation is.
func (g *Guide) State(ctx context.Context, org uuid.UUID) (s State, err error) {
	s = State{Managed: g.o.Managed, Host: g.o.Host, Open: g.o.Wired.Open || !g.o.Managed}
	if s.Setup, err = g.store.Setup(ctx, org); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return s, err
	}
	if s.Host == "" {
		s.Host = s.Setup.Host
	}
	s.Needed = s.Managed && s.Setup.Finished.IsZero()
	s.Unproved = s.Setup.Recovery.ID != "" && s.Setup.Recovery.Confirmed.IsZero()
	done, err := g.done(ctx, org, &s)
	for _, name := range Steps() {
		s.Steps = append(s.Steps, Step{name, done[name], slices.Contains(s.Setup.Skipped, name)})
	}
	return s, err
}

// done says of each step whether what it makes is there.
func (g *Guide) done(ctx context.Context, org uuid.UUID, s *State) (map[storage.SetupStep]bool, error) {
	people, err := g.store.People(ctx, org, uuid.Nil, 1)
	if err != nil {
		return nil, err
	}
	domains, err := g.store.Domains(ctx, org, uuid.Nil, 1)
	if err != nil {
		return nil, err
	}
	agents, err := g.store.Agents(ctx, org, uuid.Nil, 1)
	s.Anybody = len(people) > 0
	return map[storage.SetupStep]bool{
		storage.SetupName: s.Host != "", storage.SetupKeys: !s.Setup.Recovery.Confirmed.IsZero(),
		storage.SetupAdmin: len(people) > 0, storage.SetupDomain: len(domains) > 0, storage.SetupAgent: len(agents) > 0,
	}, err
}

// changeTries is how often a change begins anew because somebody else wrote in the
// middle.
const changeTries = 5

// change changes the record in one transaction with its event. fn may run more than
// once.
func (g *Guide) change(ctx context.Context, actor audit.Actor, org uuid.UUID, verb audit.Verb, fn func(tx *storage.Tx, e *audit.Event, u *storage.Setup) error) error {
	for try := 1; ; try++ {
		was, err := g.store.Setup(ctx, org)
		if errors.Is(err, storage.ErrNotFound) {
			was, err = storage.Setup{Head: storage.Head{Org: org}}, nil
		}
		if err != nil {
			return err
		}
		err = g.store.Write(ctx, actor, func(tx *storage.Tx) error {
			u := was
			u.Skipped = slices.Clone(was.Skipped)
			e := tx.Record(audit.Event{Verb: verb, Outcome: audit.OK, Org: org})
			if err := fn(tx, e, &u); err != nil {
				return err
			}
			return tx.PutSetup(e, &u)
		})
		if !errors.Is(err, storage.ErrConflict) || try == changeTries {
			return err
		}
	}
}

// Name is what the first step says.
type Name struct {
	Host      string
	Addresses []string
	Directory string
	Contact   string
	Probe     string // domain whose mail server may be connected to; empty: none
	Lists     bool   // block lists may be asked
}

// SetName gives the server its name. The doors that are open take it over at once.
func (g *Guide) SetName(ctx context.Context, actor audit.Actor, org uuid.UUID, n Name) error {
	if !g.o.Managed {
		return fmt.Errorf("%w: the configuration names this server %s: change it there", directory.ErrState, g.o.Host)
	}
	var err error
	if n.Host, err = hostName(n.Host); err != nil {
		return err
	}
	if n.Probe != "" {
		if n.Probe, err = dns.Name(n.Probe); err != nil {
			return fmt.Errorf("%w: %q is no domain", directory.ErrInvalid, n.Probe)
		}
	}
	err = g.change(ctx, actor, org, audit.SetupChange, func(_ *storage.Tx, e *audit.Event, u *storage.Setup) error {
		before := describe(u)
		u.Host, u.Addresses, u.Directory, u.Contact, u.Probe, u.Lists = n.Host, n.Addresses, n.Directory, n.Contact, n.Probe, n.Lists
		if g.o.Check != nil {
			if err := g.o.Check(settings(u, true)); err != nil {
				return fmt.Errorf("%w: %w", directory.ErrInvalid, err)
			}
		}
		u.Skipped = without(u.Skipped, storage.SetupName)
		e.Fields = append(e.Fields, audit.Word(audit.KeyStep, string(storage.SetupName)), audit.Word(audit.KeyState, "done"))
		e.Personal = append(e.Personal, audit.Text(audit.KeyBefore, before), audit.Text(audit.KeyAfter, describe(u)))
		return nil
	})
	return errors.Join(err, g.Settle(ctx, org))
}

// hostName is a host's full name in the one form in which it is kept.
func hostName(text string) (string, error) {
	name, err := dns.Name(strings.TrimSpace(text))
	if err != nil || !strings.Contains(name, ".") || strings.Trim(name, "0123456789.") == "" {
		return "", fmt.Errorf("%w: %q is not the full name of a server, such as mail.example.com", directory.ErrInvalid, text)
	}
	return name, nil
}

// describe is the settings on one line, for the values before and after.
func describe(u *storage.Setup) string {
	if u.Host == "" {
		return "no name"
	}
	text := u.Host
	if len(u.Addresses) > 0 {
		text += " at " + strings.Join(u.Addresses, ", ")
	}
	if u.Directory != "" {
		text += ", certificates by " + u.Directory
	}
	if u.Probe != "" {
		text += ", port 25 tried with " + u.Probe
	}
	if u.Lists {
		text += ", block lists asked"
	}
	return text
}

// Skip puts a step off.
func (g *Guide) Skip(ctx context.Context, actor audit.Actor, org uuid.UUID, step storage.SetupStep) error {
	if !slices.Contains(Steps(), step) {
		return fmt.Errorf("%w: %q is no step: use name, keys, admin, domain, agent", directory.ErrInvalid, step)
	}
	return g.change(ctx, actor, org, audit.SetupChange, func(_ *storage.Tx, e *audit.Event, u *storage.Setup) error {
		skipped := append(without(u.Skipped, step), step)
		u.Skipped = nil
		for _, s := range Steps() {
			if slices.Contains(skipped, s) {
				u.Skipped = append(u.Skipped, s)
			}
		}
		e.Fields = append(e.Fields, audit.Word(audit.KeyStep, string(step)), audit.Word(audit.KeyState, "skipped"))
		return nil
	})
}

func without(all []storage.SetupStep, step storage.SetupStep) []storage.SetupStep {
	return slices.DeleteFunc(slices.Clone(all), func(s storage.SetupStep) bool { return s == step })
}

// Finish ends the set-up: what was not done is put off, links and the session of who
// used one end. Doors open if the server has a name.
func (g *Guide) Finish(ctx context.Context, actor audit.Actor, org uuid.UUID) error {
	state, err := g.State(ctx, org)
	if err != nil {
		return err
	}
	if !state.Needed {
		return fmt.Errorf("%w: the set-up has ended already", directory.ErrState)
	}
	err = g.change(ctx, actor, org, audit.SetupFinish, func(tx *storage.Tx, e *audit.Event, u *storage.Setup) error {
		u.Finished, u.Skipped = tx.Now(), nil
		for _, step := range state.Steps {
			if !step.Done {
				u.Skipped = append(u.Skipped, step.Name)
				e.Fields = append(e.Fields, audit.Word(audit.KeyStep, string(step.Name)))
			}
		}
		u.Link, u.LinkEnds, u.Session, u.SessionEnds = nil, time.Time{}, nil, time.Time{}
		return nil
	})
	return errors.Join(err, g.Settle(ctx, org))
}

// Settle has the server made anew when what is set is not what it was made with.
func (g *Guide) Settle(ctx context.Context, org uuid.UUID) error {
	if !g.o.Managed {
		return nil
	}
	now, err := Load(ctx, g.store, org)
	if now.Open {
		g.o.Used() // somebody has an account, or the set-up ended
	}
	if err == nil && !now.Equal(g.o.Wired) {
		g.o.Apply()
	}
	return err
}
