package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/dns/zone"
	"postern/server/acme"
	"postern/server/control"
	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/imapd"
	"postern/server/injection"
	"postern/server/metrics"
	"postern/server/monitor"
	"postern/server/msgauth"
	"postern/server/policy"
	"postern/server/queue"
	"postern/server/relay"
	"postern/server/report"
	"postern/server/setup"
	"postern/server/smtpd"
	"postern/server/submission"
	"postern/server/webhook"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
	"postern/web"
	"postern/web/panel"
)

// Options are what a program gives to a server that it starts by itself, such as
// a test or the laboratory of Dev. The zero value of each field stands for what
// the configuration says.
type Options struct {
	Log      *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: time.Now
	TLS      *tls.Config      // has the certificate of the operator's own files; nil: all come from Config.ACME
	Resolver dns.Resolver     // nil: those of Config.DNS, behind a cache
	Names    *zone.Checker    // asks what domains publish; nil: by those of Config.DNS
	Roots    *x509.CertPool   // to verify next hops with; nil: the system's
	Timeouts relay.Timeouts   // of the relay's attempts
	Judge    delivery.Judge   // scores what comes into a mailbox; nil: a delivery.Scorer with the model that ships

	// Handed are listeners of doors that a server before this one had; others are bound.
	Handed map[string]net.Listener
	// Sockets are listeners that the service manager opened, by door. A server listens on
	// copies, and these outlive it.
	Sockets map[string]net.Listener
	// Reloaded brings another configuration while a server runs; nil: none comes.
	Reloaded <-chan Reloaded

	looked setup.Looked // from the network, by the server before this one

	Unsurveyed bool // nobody looks at the health by themselves: who wants it calls Survey
	Laboratory bool // pages say that this is none of the real servers
}

// Server is a whole Postern: storage, names, queue, verbs and doors, wired.
type Server struct {
	cfg Config
	log *slog.Logger
	now func() time.Time

	store     *storage.Store
	directory *directory.Directory
	scorer    *delivery.Scorer
	judge     delivery.Judge
	inbound   *delivery.Inbound
	relay     *relay.Relay
	queue     *queue.Queue
	outbound  *submission.Outbound
	webhooks  *webhook.Sender
	monitor   *monitor.Monitor
	names     *names
	reports   *report.Office
	certs     *acme.Keeper
	tls       *tls.Config // of every door
	smtp      *smtpd.Server
	imap      *imapd.Server
	web       *web.Server
	panel     *panel.Server
	control   *control.Server
	metrics   *metrics.Set
	watched   *metrics.Door // where programs look after this server

	doors []door
	shut  []shutDoor // that could not be opened
	phase atomic.Int32

	surveys bool // its health, by itself

	managed bool           // no configuration names this server: set-up does
	wired   setup.Settings // what set-up said when this was wired
	guide   *setup.Guide
	standIn *tls.Certificate // while there is no other; nil: acme makes its own
	again   sync.Once
	renew   chan struct{} // closed when set-up or a configuration says something else
	kept    map[string]net.Listener
	next    atomic.Pointer[Reloaded] // why renew was closed; nil: set-up
}

// shutDoor is a door for mail that a server which set-up manages could not open. It
// must not keep the panel from saying so.
type shutDoor struct{ name, problem string }

// door is a listener and what serves it.
type door struct {
	name     string // as in the configuration: "smtp", "imaps"
	listener net.Listener
	serve    func(net.Listener) error
}

// New opens the store, wires the server, binds every listener and records the
// start. Clients that connect wait in the listeners' backlog until Run. The
// caller calls Run, or Close. Errors that the owner of the configuration must
// mend are *ConfigError.
func New(ctx context.Context, cfg Config, o Options) (_ *Server, err error) {
	s := &Server{cfg: cfg, log: o.Log, now: o.Now, renew: make(chan struct{}), metrics: metrics.New(Version())}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	go injection.Shipped() // the scorer's model is read beside what follows
	if err := s.openStore(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.found(ctx); err != nil {
		return nil, err
	}
	if err := s.wire(ctx, cfg, o); err != nil {
		return nil, err
	}
	if err := s.listen(ctx, &o); err != nil {
		return nil, err
	}
	for _, d := range s.shut {
		s.control.Shut = append(s.control.Shut, [2]string{d.name, d.problem})
	}
	// The first organization is made here, so that no command meets none.
	if _, err := s.directory.Organization(ctx); err != nil {
		return nil, err
	}
	return s, s.record(ctx, audit.ServerStart)
}

// openStore opens the data directory with the root key.
func (s *Server) openStore(ctx context.Context) error {
	path, err := seal.FindRootKey(s.cfg.Keys.Root)
	var root *seal.RootKey
	if err == nil {
		root, err = seal.LoadRootKey(path)
	}
	if errors.Is(err, seal.ErrNoRootKey) {
		return s.noRootKey(ctx, err)
	}
	if err != nil {
		return &ConfigError{Key: "keys.root", Text: "cannot use the root key", Err: err}
	}
	s.store, err = storage.Open(ctx, storage.Config{
		Dir: s.cfg.Data, Root: root, Witness: s.cfg.WitnessFile(), Now: s.now, Log: s.log,
		AcceptRollback: s.cfg.AcceptRollback, Observer: s.observer(),
	})
	return s.unfit(err)
}

// noRootKey says which key is missing. Only where there is no data can a new one
// take its place.
func (s *Server) noRootKey(ctx context.Context, missing error) error {
	id, err := storage.WantedRootKey(ctx, s.cfg.Data)
	if id == "" && err == nil {
		return &ConfigError{Key: "keys.root", Text: "there is no root key, and without it nothing can be opened", Err: missing}
	}
	return &ConfigError{Key: "keys.root", Text: strings.TrimSpace("the data can be opened with its root key alone: " + id),
		Err: fmt.Errorf("%w at %s", seal.ErrNoRootKey, s.cfg.Keys.Root), Hint: s.putBack()}
}

// putBack is the way on for who has data and not its key. What systemd hands over
// it takes from where the package puts it.
func (s *Server) putBack() string {
	path := s.cfg.Keys.Root
	if path == defaultRootKey() {
		path = packagedRootKey
	}
	return "put your copy of it back: install -m 600 COPY " + path
}

// unfit tells what an operator must mend from what another try may cure.
func (s *Server) unfit(err error) error {
	var wrongKey *seal.WrongKeyError
	var schema *storage.SchemaError
	var rollback *storage.RollbackError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrongKey):
		return &ConfigError{Key: "keys.root", Text: "this is not the root key of the data", Err: err, Hint: s.putBack()}
	case errors.As(err, &schema):
		return &ConfigError{Key: "data", Text: "the data is of a newer version", Err: err}
	case errors.As(err, &rollback):
		return &ConfigError{Key: "data", Text: "the data is older than, or not, what this server had", Err: err,
			Hint: "after a restore on purpose: postern serve --accept-rollback REASON"}
	case errors.Is(err, fs.ErrPermission):
		return &ConfigError{Key: "data", Text: "the data cannot be used by this user", Err: err}
	}
	return err
}

// wire puts the rooms together, in reading order: memory and names, then what
// moves messages. The queue comes before submission, which kicks it.
func (s *Server) wire(ctx context.Context, base Config, o Options) error {
	resolver, err := s.resolver(&o)
	if err != nil {
		return err
	}
	hop, err := s.cfg.Relay.config(s.cfg.Host)
	if err != nil {
		return err
	}
	hop.Resolver, hop.Timeouts, hop.Store, hop.Now, hop.Log = resolver, o.Timeouts, s.store, s.now, s.log
	if o.Roots != nil {
		hop.Roots = o.Roots
	}

	s.directory = directory.New(s.store, directory.Options{
		Terms: s.terms, People: s.peopleTerms, Site: s.cfg.site(o.Laboratory), PolicyEpoch: s.store.PolicyEpoch, Keys: s.turning(o.Names), Names: s.asking(o.Names), Now: s.now, Log: s.log,
	})
	if err := s.wireSetup(ctx, base, resolver, o.looked); err != nil {
		return err
	}
	auth := &msgauth.Checker{Resolver: resolver, Now: s.now}
	s.scorer = delivery.NewScorer(nil, s.log)
	if s.judge = o.Judge; s.judge == nil {
		s.judge = s.scorer.Judge
	}
	s.judge = s.timed(s.judge)
	s.inbound = delivery.NewInbound(s.store, s.directory, delivery.Options{
		Hostname: s.cfg.Host, Auth: auth, Judge: s.judge, Now: s.now, Log: s.log,
	})
	s.relay = relay.New(hop)
	s.queue = queue.New(s.store, queue.Options{
		Hostname: s.cfg.Host,
		Remote:   relay.NewTransport(s.relay, s.directory, s.log),
		Local:    delivery.NewLocal(s.inbound),
		Report:   s.inbound.Report,
		Forget:   s.relay.Forget,
		Sessions: s.countSessions,
		Frozen:   s.directory.Frozen,
		Now:      s.now, Log: s.log,
	})
	s.outbound = submission.NewOutbound(s.store, s.directory, submission.Options{
		Hostname: s.cfg.Host, Judge: judgeOwn(s.judge), Queued: s.queue.Take, Now: s.now, Log: s.log,
	})
	s.webhooks = webhook.NewSender(s.store, webhook.Options{
		Resolver: resolver, Roots: o.Roots, AllowPrivate: s.cfg.Webhook.AllowPrivate, Now: s.now, Log: s.log,
	})
	s.monitor = monitor.New(s.store, monitor.Options{
		Rules: s.alertRules, Freeze: s.freezeFor, Mail: s.mailAlert, Announce: s.webhooks.Announce, Kick: s.queue.Kick, Now: s.now, Log: s.log,
	})
	s.names = newNames(s)
	s.reports = report.New(s.store, report.Options{Auth: auth, Resolver: resolver, Post: s.postReport, Kick: s.queue.Kick, Now: s.now, Log: s.log})
	if err := s.wireCertificates(ctx, o, resolver); err != nil {
		return err
	}
	s.smtp = smtpd.New(smtpd.Config{
		Hostname: s.cfg.Host, TLS: s.tls, Limits: s.cfg.Limits.smtp(), Now: s.now, Log: s.log,
		Store: s.store, Directory: s.directory, Inbound: s.inbound, Outbound: s.outbound, Reports: s.reports,
		Answered: s.metrics.Answered,
	})
	s.imap = imapd.New(imapd.Config{
		Hostname: s.cfg.Host, TLS: s.tls, Limits: s.cfg.Limits.imap(), Now: s.now, Log: s.log,
		Store: s.store, Directory: s.directory, Judge: s.judge,
	})
	s.web = s.newWeb()
	s.control = control.New(control.Config{
		Store: s.store, Directory: s.directory, Queue: s.queue, Scorer: s.scorer, Quarantine: delivery.NewQuarantine(s.store), Webhooks: s.webhooks, Certificates: s.certs, TellOwners: s.tellOwners, Setup: s.guide, Invite: s.invite, FirstMail: s.firstMail, Alive: s.alive, Takes: s.ready, Host: s.hostName(), Version: Version(), Panel: s.cfg.panelURL(o.Laboratory), Ladder: s.ladder, Now: s.now, Log: s.log,
	})
	s.watched = metrics.NewDoor(s.metrics, s.alive, s.ready, s.log)
	s.metrics.Read(s.gauges)
	s.surveys = !o.Unsurveyed
	s.panel, err = s.newPanel(o.Laboratory)
	return err
}

// resolver is how the server asks for names. Where none is given it is made of the
// configuration, and so is what asks for those of domains.
func (s *Server) resolver(o *Options) (dns.Resolver, error) {
	if o.Resolver != nil {
		return o.Resolver, nil
	}
	client, err := dns.NewClient(dns.Config{Servers: s.cfg.DNS.Servers, TrustAD: s.cfg.DNS.TrustAD})
	if err != nil {
		return nil, &ConfigError{Key: "dns.servers", Text: "cannot be used", Err: err}
	}
	if o.Names == nil {
		o.Names = &zone.Checker{Client: client, Private: s.cfg.Relay.AllowPrivate}
	}
	return dns.NewCache(client, s.now), nil
}

// terms are what policy says of a credential on an inbox of a domain.
func (s *Server) terms(ctx context.Context, org, domain, inbox, agent, credential uuid.UUID) (directory.Terms, error) {
	rules, err := policy.Load(ctx, s.store, policy.Subjects{Organization: org, Domain: domain, Agent: agent, Credential: credential, Inbox: inbox})
	c := rules.Credentials
	return directory.Terms{MaxAge: c.MaxAge, Warning: c.Warn, Sessions: c.Sessions, SessionLength: c.SessionLength, SafeView: c.SafeView}, err
}

// peopleTerms are what policy says of people's sessions.
func (s *Server) peopleTerms(ctx context.Context, org uuid.UUID) (directory.PeopleTerms, error) {
	rules, err := policy.Load(ctx, s.store, policy.Subjects{Organization: org})
	p := rules.People
	return directory.PeopleTerms{Factor: p.Factor, Length: p.Session, Idle: p.Idle, Proof: p.Proof}, err
}

// listen binds every door that is not off, and closes what was handed over for others.
func (s *Server) listen(ctx context.Context, o *Options) error {
	serves := map[string]func(net.Listener) error{
		"smtp": s.smtp.ServeMX, "submission": s.smtp.ServeSubmission, "submissions": s.smtp.ServeSubmissions, "imaps": s.imap.Serve,
		"http": s.web.Serve, "https": s.web.ServeTLS, "panel": s.panel.Serve, "metrics": s.watched.Serve,
	}
	for _, d := range s.cfg.doors() {
		if d.addr == off {
			if l := o.Handed[d.name]; l != nil {
				l.Close()
			}
			continue
		}
		l, err := o.open(ctx, d)
		if err != nil && s.managed && d.name != "panel" {
			s.log.Error("a door is shut", "door", d.name, "error", err)
			s.shut = append(s.shut, shutDoor{d.name, err.Error()})
			continue
		}
		if err != nil {
			return fmt.Errorf("listen.%s: %w", d.name, err)
		}
		s.doors = append(s.doors, door{d.name, l, serves[d.name]})
	}
	if err := s.names.listen(s.cfg.Listen.dns()); err != nil {
		return err
	}
	if s.cfg.Control == off {
		return nil
	}
	l := o.Handed["control"]
	if l == nil {
		var err error
		if l, err = control.Listen(s.cfg.Control); err != nil {
			return err
		}
	}
	s.doors = append(s.doors, door{"control", l, s.control.Serve})
	return nil
}

// open takes a door's listener from the server before, or from the service manager, or
// binds it.
func (o *Options) open(ctx context.Context, d place) (net.Listener, error) {
	if l := o.Handed[d.name]; l != nil {
		return l, nil
	}
	if l := o.Sockets[d.name]; l != nil {
		return again(l)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", d.addr)
}

// Addr is the address that a door is bound to, by its name in the configuration
// ("smtp", "submission", "submissions", "imaps", "http", "https", "panel", "metrics", "dns"); nil when it is off.
func (s *Server) Addr(name string) net.Addr {
	if at := s.names.server.Addr(); name == "dns" && at.IsValid() {
		return net.TCPAddrFromAddrPort(at)
	}
	for _, d := range s.doors {
		if d.name == name {
			return d.listener.Addr()
		}
	}
	return nil
}

// Store, Directory and Queue are the rooms that the command and tests talk to.
func (s *Server) Store() *storage.Store { return s.store }

// Directory is where names are made and revoked.
func (s *Server) Directory() *directory.Directory { return s.directory }

// Queue is what is on its way out.
func (s *Server) Queue() *queue.Queue { return s.queue }

// Certificates are those that the server shows.
func (s *Server) Certificates() *acme.Keeper { return s.certs }

// Reports is the office for what mail servers tell each other once a day.
func (s *Server) Reports() *report.Office { return s.reports }

// Relay is the way to other servers.
func (s *Server) Relay() *relay.Relay { return s.relay }

// SetChallenge and ClearChallenge put a text into the DNS for as long as somebody
// asks for it, where the name lies in a zone that this server serves (listen.dns):
// see names.SetChallenge.
func (s *Server) SetChallenge(name, text string) error { return s.names.SetChallenge(name, text) }

// ClearChallenge takes away what SetChallenge put there.
func (s *Server) ClearChallenge(name, text string) { s.names.ClearChallenge(name, text) }

// Grace is how long a stop waits for messages and commands under way.
const Grace = 25 * time.Second

// Run serves until the context is done, a listener fails, or the store breaks: a
// server that can store nothing is better started anew. Then it stops accepting,
// lets what is under way finish for up to Grace, writes what waits, records the
// stop and closes the store. ErrRenew says that set-up or another configuration changed
// what this server is wired for: Handed has what the next one takes over.
func (s *Server) Run(ctx context.Context) error {
	// Loops outlive the doors: what sessions leave behind is still to be written.
	loops, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	working, rest := context.WithCancel(loops)
	defer rest()
	var loop, queued sync.WaitGroup
	loop.Go(func() { s.directory.Run(loops) })
	loop.Go(func() { s.store.Keep(loops) })
	loop.Go(func() { s.store.KeepHours(loops) })
	loop.Go(func() { s.monitor.Run(loops) })
	loop.Go(func() { s.webhooks.Run(loops) })
	loop.Go(func() { s.names.run(loops) })
	loop.Go(func() { s.reports.Run(loops) })
	loop.Go(func() { s.relay.RunPolicies(loops) })
	loop.Go(func() { s.judgeOld(loops) })
	loop.Go(func() { giveBack(loops) })
	if s.surveys {
		loop.Go(func() { s.surveyHealth(loops) })
	}
	loop.Go(func() { s.expireQuarantine(loops) })
	queued.Go(func() { s.certs.Run(working) })
	failed := make(chan error, len(s.doors)+1)
	queued.Go(func() {
		if err := s.queue.Run(working); err != nil {
			failed <- fmt.Errorf("queue: %w", err)
		}
	})
	s.phase.Store(phaseServing) // who connects from here on is answered
	var open sync.WaitGroup
	for _, d := range s.doors {
		open.Go(func() {
			l, err := s.behind(d)
			if err == nil {
				err = ignoreClosed(d.serve(l), smtpd.ErrServerClosed, imapd.ErrServerClosed)
			}
			if err != nil {
				failed <- fmt.Errorf("%s: %w", d.name, err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case <-s.renew:
		s.kept, err = s.handOver(), ErrRenew
	case err = <-failed:
		s.log.Error("stopping", "error", err)
	case <-s.store.Broken():
		err = fmt.Errorf("%w: a commit could not be made durable", storage.ErrUnavailable)
		s.log.Error("stopping: what was acknowledged is safe, and a new start shows it", "error", err)
	}
	s.phase.Store(phaseStopping)
	rest()
	s.closeDoors()
	open.Wait()
	queued.Wait()
	end()
	loop.Wait()
	return errors.Join(err, s.record(context.WithoutCancel(ctx), audit.ServerStop), s.store.Close())
}

// ErrRenew ends Run when the server is to be made anew.
var ErrRenew = errors.New("server: set-up or the configuration says something else now")

// Handed are the listeners for the server that takes this one's place.
func (s *Server) Handed() map[string]net.Listener { return s.kept }

// closeDoors stops accepting and waits for what is under way.
func (s *Server) closeDoors() {
	ctx, cancel := context.WithTimeout(context.Background(), Grace)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.smtp.Shutdown(ctx); err != nil {
			s.log.Warn("SMTP sessions were cut at the stop", "error", err)
		}
	})
	all.Go(func() {
		if err := s.imap.Shutdown(ctx); err != nil {
			s.log.Warn("IMAP sessions were cut at the stop", "error", err)
		}
	})
	all.Go(func() {
		if err := s.web.Shutdown(ctx); err != nil {
			s.log.Warn("HTTP requests were cut at the stop", "error", err)
		}
	})
	all.Go(func() {
		if err := s.panel.Shutdown(ctx); err != nil {
			s.log.Warn("requests of the panel were cut at the stop", "error", err)
		}
	})
	all.Go(func() {
		if err := s.control.Shutdown(ctx); err != nil {
			s.log.Warn("commands at the control socket were cut at the stop", "error", err)
		}
	})
	all.Go(func() {
		if err := s.names.stop(ctx); err != nil {
			s.log.Warn("questions were cut at the stop", "error", err)
		}
	})
	all.Wait()
	// Programs that look after this server are told to the end that it stops.
	if err := s.watched.Shutdown(ctx); err != nil {
		s.log.Warn("scrapes were cut at the stop", "error", err)
	}
}

// Close gives up a server whose Run was never called.
func (s *Server) Close() error {
	for _, d := range s.doors {
		d.listener.Close()
	}
	if s.names != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.names.stop(ctx)
	}
	if s.certs != nil {
		s.certs.Close()
	}
	return s.store.Close()
}

// record writes an event of the server itself.
func (s *Server) record(ctx context.Context, verb audit.Verb) error {
	return s.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: verb, Outcome: audit.OK, Fields: audit.Fields{audit.Word(audit.KeyVersion, Version())}})
		if verb == audit.ServerStart {
			e.Fields = append(e.Fields, audit.Word(audit.KeyModel, s.scorer.Model())) // PI-9: since when which model judges
		}
		return nil
	})
}

// release is the version of a build that people install; the linker sets it.
var release string

// Version is the version of this program, as its build knows it; "devel" for one
// that was built from a checkout.
func Version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return strings.Trim(info.Main.Version, "()")
}
