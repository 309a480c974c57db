package servertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/dns/zone"
	"postern/server"
	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/relay"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// Options say what a test wants.
type Options struct {
	World  *World   // nil: one of its own
	Domain string   // empty: "alpha.test"; the host is mail.DOMAIN
	Agents []string // each gets an inbox of its name, and a credential with every verb on it
	Dir    string   // empty: a temporary one

	Checker *zone.Checker  // asks what domains publish; nil: the world\'s
	Judge   delivery.Judge // of what comes into a mailbox; nil: Marked
	Log     *slog.Logger   // nil: nothing
	// Pebble has the server get its certificates from an authority, and opens the
	// doors "http" and "https"; nil: it has one in files, and no such doors.
	Pebble    *Pebble
	Configure func(*server.Config) // changes the configuration; may be nil
}

// Postern is a server under test.
type Postern struct {
	World     *World
	Domain    string
	Host      string
	Org       storage.Organization
	Agents    map[string]*Agent
	Admin     Person // may do all, in a session that outlasts every test
	Second    Person // another one; both have been here for long, so two are two
	Authority *server.Authority
	Pebble    *Pebble // nil: Authority certified the server

	cfg       server.Config
	tls       *tls.Config
	certified atomic.Pointer[tls.Certificate] // in place of its own; nil: its own
	log       *slog.Logger
	refused   *atomic.Int64 // what browsers refused to do with our pages
	unnamed   bool          // it started without a name: set-up gives it one
	// Options that the server gets at every start.
	judge   delivery.Judge
	checker *zone.Checker

	published publisher

	mu     sync.Mutex
	server *server.Server // nil while it is down
	stop   context.CancelFunc
	ended  chan error
}

// Agent is an agent of a server under test.
type Agent struct {
	Name       string
	Address    string // of its inbox, and its login
	Token      string
	Agent      storage.Agent
	Inbox      storage.InboxRecord
	Credential storage.Credential
}

// New starts a server for a test and stops it at the test's end.
func New(t testing.TB, o Options) *Postern {
	t.Helper()
	o.inWorld(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	p, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	p.downAfter(t)
	return p
}

// inWorld makes a world for the test if none was given.
func (o *Options) inWorld(t testing.TB) {
	t.Helper()
	if o.World != nil {
		return
	}
	w, err := NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	o.World = w
}

// downAfter stops the server at the test's end.
func (p *Postern) downAfter(t testing.TB) {
	t.Cleanup(func() {
		if err := p.Down(); err != nil {
			t.Error(err)
		}
	})
}

// Start starts a server with its domain and agents, for callers that have no
// testing.TB. World and Dir are required; call Down in the end.
func Start(o Options) (*Postern, error) {
	if o.Domain == "" {
		o.Domain = "alpha.test"
	}
	if o.Judge == nil {
		o.Judge = Marked
	}
	p := &Postern{World: o.World, Domain: o.Domain, Host: "mail." + o.Domain, Agents: map[string]*Agent{}, Pebble: o.Pebble, judge: o.Judge, checker: o.Checker}
	p.log, p.refused = watched(o.Log)
	if err := p.configure(o); err != nil {
		return nil, err
	}
	if err := p.Up(); err != nil {
		return nil, err
	}
	if err := p.populate(context.Background(), o.Agents); err != nil {
		return nil, errors.Join(err, p.Down())
	}
	return p, nil
}

// configure gives the server a root key, a certificate, and an address.
func (p *Postern) configure(o Options) (err error) {
	if p.Authority, err = server.NewAuthority(time.Now(), p.Host, "localhost", "127.0.0.1"); err != nil {
		return err
	}
	if p.tls, err = p.Authority.Server(); err != nil {
		return err
	}
	p.tls.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.certified.Load(), nil }
	ip, err := p.World.address(p)
	if err != nil {
		return err
	}
	root := filepath.Join(o.Dir, "root.key")
	if _, err := seal.CreateRootKey(root); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	p.cfg = server.DefaultConfig()
	p.cfg.Host = p.Host
	p.cfg.Data = filepath.Join(o.Dir, "data")
	p.cfg.Keys = server.KeysConfig{Root: root, Witness: filepath.Join(o.Dir, "witness")}
	p.cfg.Control = filepath.Join(o.Dir, "control.sock")
	free := net.JoinHostPort(ip, "0")
	p.cfg.Listen = server.ListenConfig{
		SMTP:       net.JoinHostPort(ip, strconv.Itoa(p.World.port)),
		Submission: free, Submissions: free, IMAPS: free, Panel: free, DNS: "off",
	}
	if o.Pebble != nil {
		p.tls = nil
		p.cfg.ACME = server.ACMEConfig{Directory: o.Pebble.Directory, CAFile: o.Pebble.CAFile, Contact: "postmaster@" + p.Domain}
		p.cfg.Listen.HTTP, p.cfg.Listen.HTTPS = net.JoinHostPort(ip, strconv.Itoa(o.Pebble.HTTP)), net.JoinHostPort(ip, strconv.Itoa(o.Pebble.HTTPS))
	}
	p.cfg.Relay.Port, p.cfg.Relay.AllowPrivate = p.World.port, true
	p.cfg.Relay.PolicyPort = p.World.PolicyPort()
	p.cfg.Webhook.AllowPrivate = true
	p.cfg.DNS.Check = false // when a test asks, and not by itself
	if o.Configure != nil {
		o.Configure(&p.cfg)
	}
	return p.World.Names.SetZone(nameserver.Zone{Origin: p.Domain, Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
		{Name: p.Domain, Type: nameserver.MX, Data: "10 " + p.Host},
		{Name: p.Host, Type: nameserver.A, Data: ip},
		{Name: "mta-sts." + p.Domain, Type: nameserver.A, Data: ip},
		{Name: "autoconfig.second." + p.Domain, Type: nameserver.A, Data: ip},
		{Name: p.Domain, Type: nameserver.TXT, Data: "v=spf1 ip4:127.0.0.0/8 -all"},
		{Name: "_dmarc." + p.Domain, Type: nameserver.TXT, Data: "v=DMARC1; p=reject"},
	}})
}

// Up starts the server, on the ports that it had when it was up before.
func (p *Postern) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return errors.New("servertest: it is up")
	}
	resolver, err := p.World.Resolver()
	if err != nil {
		return err
	}
	checker := p.checker
	if checker == nil {
		if checker, err = p.World.Checker(); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.New(ctx, p.cfg, server.Options{
		Log: p.log, Judge: p.judge, Now: p.World.Clock.Now, TLS: p.tls, Roots: p.World.Roots(), Resolver: dns.NewCache(resolver, p.World.Clock.Now), Names: checker, Unsurveyed: true,
		Timeouts: relay.Timeouts{Greeting: patience, Command: patience, DataStart: patience, DataEnd: patience},
	})
	if err != nil {
		stop()
		return err
	}
	for door, addr := range map[string]*string{"submission": &p.cfg.Listen.Submission, "submissions": &p.cfg.Listen.Submissions, "imaps": &p.cfg.Listen.IMAPS, "panel": &p.cfg.Listen.Panel, "metrics": &p.cfg.Listen.Metrics, "dns": &p.cfg.Listen.DNS} {
		if a := s.Addr(door); a != nil {
			*addr = a.String()
		}
	}
	p.server, p.stop, p.ended = s, stop, make(chan error, 1)
	go func() { p.ended <- s.Run(ctx) }()
	return nil
}

// patience is how long one side of a conversation waits for the other, in real
// time.
const patience = 20 * time.Second

// Down stops the server in order. A server that is down already is left alone.
func (p *Postern) Down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	p.stop()
	err := <-p.ended
	p.server = nil
	return err
}

// Server is the running server, nil while it is down.
func (p *Postern) Server() *server.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

// Addr is where a door is: "smtp", "submission", "submissions", "imaps", or "dns"
// where Configure opens it.
func (p *Postern) Addr(door string) net.Addr { return p.Server().Addr(door) }

// ControlSocket is where the server answers commands.
func (p *Postern) ControlSocket() string { return p.cfg.Control }

// Pool trusts the server's certificate.
func (p *Postern) Pool() *x509.CertPool {
	pool := p.Authority.Pool()
	if p.Pebble != nil {
		pool = p.Pebble.Roots().Clone()
	}
	pool.AddCert(p.World.authority.cert)
	return pool
}

// populate makes the domain, and an inbox, an agent and a credential by each name.
func (p *Postern) populate(ctx context.Context, agents []string) error {
	dir := p.Server().Directory()
	org, err := dir.Organization(ctx)
	if err != nil {
		return err
	}
	p.Org = org
	if _, _, err := dir.AddDomain(ctx, storage.System, org.ID, p.Domain, directory.AssumeOwned{Reason: "it is the test's own"}); err != nil {
		return err
	}
	if err := p.Publish(ctx); err != nil {
		return err
	}
	if p.Admin, err = p.AddPerson(ctx, "admin@"+p.Domain, storage.PersonAdmin); err != nil {
		return err
	}
	if p.Second, err = p.AddPerson(ctx, "second@"+p.Domain, storage.PersonAdmin); err != nil {
		return err
	}
	if err := p.awaitCertificates(); err != nil {
		return err
	}
	for _, name := range agents {
		if _, err := p.AddAgent(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// awaitCertificates waits until the server has the certificates that it is to have.
func (p *Postern) awaitCertificates() error {
	if p.Pebble == nil {
		return nil
	}
	p.Server().Certificates().Look()
	// What was tried before the domain was there may have failed, and rests.
	if err := p.World.Advance(10 * time.Minute); err != nil {
		return err
	}
	for _, name := range []string{p.Host, "mta-sts." + p.Domain} {
		if _, err := p.Pebble.Served(p, "imaps", name); err != nil {
			return err
		}
	}
	return nil
}

// Person is somebody with an account on a server under test, and a session.
type Person struct {
	storage.Person
	Session string // token of a session with a second factor

	session storage.PersonSession
}

// always is longer than any test.
const always = 100 * 365 * 24 * time.Hour

// AddPerson makes an account that is a month old, without a password, and a
// session with a second factor that does not end.
func (p *Postern) AddPerson(ctx context.Context, address string, roles ...storage.PersonRole) (who Person, err error) {
	made := storage.Person{Head: storage.Head{Org: p.Org.ID}, Address: address, Roles: roles, Created: p.World.Clock.Now().AddDate(0, -1, 0)}
	err = p.Server().Store().Write(ctx, storage.System, func(tx *storage.Tx) error {
		who.Person = made
		return tx.CreatePerson(tx.Record(audit.Event{Verb: audit.PersonCreate}), &who.Person)
	})
	if err != nil {
		return who, err
	}
	ps, token, err := p.Server().Directory().StartSession(ctx, storage.System, who.Person,
		directory.SessionSpec{Door: "control", Factor: true, Length: always, Idle: -1, Fresh: always})
	who.Session, who.session = token, ps
	return who, err
}

// Actor is the person in that session, as events name them.
func (p Person) Actor() audit.Actor {
	ps := directory.PersonSession{Person: p.Person, Session: p.session}
	return ps.Actor("", netip.Addr{})
}

// allVerbs are what an agent may do on its own inbox.
const allVerbs = storage.Read | storage.Flag | storage.Append | storage.Delete | storage.Send

// AddAgent makes an inbox, an agent and a credential of one name.
func (p *Postern) AddAgent(ctx context.Context, name string) (*Agent, error) {
	dir := p.Server().Directory()
	a := &Agent{Name: name, Address: name + "@" + p.Domain}
	var err error
	if a.Inbox, err = dir.CreateInbox(ctx, storage.System, p.Org.ID, a.Address, storage.Live); err != nil {
		return nil, err
	}
	if a.Agent, err = dir.CreateAgent(ctx, storage.System, p.Org.ID, name, "owner@"+p.Domain, ""); err != nil {
		return nil, err
	}
	a.Credential, a.Token, err = dir.CreateCredential(ctx, storage.System, p.Org.ID, directory.CredentialSpec{
		Agent: a.Agent.ID, Scopes: []storage.Scope{{Inbox: a.Inbox.ID, Verbs: allVerbs}},
	})
	if err != nil {
		return nil, err
	}
	p.Agents[name] = a
	return a, nil
}
