package relay

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"postern/dns"
	"postern/server/message"
	"postern/server/queue"
	"postern/storage"
)

// Config says how mail leaves. Resolver and Hostname are required.
type Config struct {
	// Hostname is the name in EHLO: that of our address in DNS, forth and back.
	Hostname string
	Resolver dns.Resolver
	// SmartHost takes all mail when set; MX records are then not asked for.
	SmartHost *SmartHost
	// Port of mail exchangers. Zero: 25. Laboratories use another.
	Port uint16
	// AllowPrivate lets mail exchangers have loopback, private and other special
	// addresses. Without it such a domain fails, or anybody who can publish an
	// MX record could point us at our own network.
	AllowPrivate bool
	// Roots verifies certificates. Nil: those of the system.
	Roots *x509.CertPool
	// Timeouts; each zero field has the value of RFC 5321, section 4.5.3.2.
	Timeouts Timeouts
	// PerDomain and PerHost bound the connections to one destination at a time.
	// Zero: 20 and 10.
	PerDomain, PerHost int
	// Patience is how long an attempt waits for such a limit before it is
	// Busy. Zero: 15 s.
	Patience time.Duration
	// Store keeps what destinations say by MTA-STS. Nil: none is asked.
	Store *storage.Store
	// PolicyPort is where policies of MTA-STS are fetched. Zero: 443.
	// Laboratories use another.
	PolicyPort uint16
	// Now is the clock of the memory of absent hosts and of policies. Nil: time.Now.
	Now func() time.Time
	// Log gets what concerns the operator. Nil: nothing is logged.
	Log *slog.Logger
}

// SmartHost is a server that relays for us, as many clouds block port 25.
type SmartHost struct {
	Host string // a full name or an address; search domains are not applied
	Port uint16 // usually 465 or 587
	// ImplicitTLS starts TLS at once (RFC 8314); otherwise STARTTLS is required.
	ImplicitTLS bool
	// Username and Password for AUTH PLAIN or LOGIN. Empty: no AUTH.
	Username, Password string
}

// Timeouts are the longest waits of one attempt.
type Timeouts struct {
	Connect   time.Duration // per address, and for a TLS handshake. Zero: 30 s
	Greeting  time.Duration // for the whole 220. Zero: 5 min
	Command   time.Duration // for the whole reply to a command. Zero: 5 min
	DataStart time.Duration // for the reply to DATA. Zero: 2 min
	DataBlock time.Duration // for the peer to take one block. Zero: 3 min
	DataEnd   time.Duration // for the reply to the final dot. Zero: 10 min
	Total     time.Duration // for everything. Zero: 30 min
	Policy    time.Duration // for a policy of MTA-STS. Zero: 1 min (RFC 8461, section 3.3)
}

func (t *Timeouts) setDefaults() {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Connect, 30 * time.Second}, {&t.Greeting, 5 * time.Minute}, {&t.Command, 5 * time.Minute},
		{&t.DataStart, 2 * time.Minute}, {&t.DataBlock, 3 * time.Minute}, {&t.DataEnd, 10 * time.Minute},
		{&t.Total, 30 * time.Minute}, {&t.Policy, time.Minute},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
}

// Relay makes attempts. It is safe for concurrent use.
type Relay struct {
	config  Config
	domains *slots
	hosts   *slots
	absent  *absences

	policies *http.Client // of MTA-STS
	fetching *slots       // one fetch of a policy at a time
	fetched  stsTries
}

// New makes a relay.
func New(c Config) *Relay {
	c.Timeouts.setDefaults()
	if c.Port == 0 {
		c.Port = 25
	}
	if c.PerDomain <= 0 {
		c.PerDomain = 20
	}
	if c.PerHost <= 0 {
		c.PerHost = 10
	}
	if c.Patience <= 0 {
		c.Patience = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.PolicyPort == 0 {
		c.PolicyPort = 443
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Relay{config: c, domains: newSlots(c.PerDomain), hosts: newSlots(c.PerHost), absent: newAbsences(c.Now), fetching: newSlots(1)}
	r.policies = r.policyClient()
	return r
}

// Forget drops the memory of absent hosts, and of policies that could not be
// fetched.
func (r *Relay) Forget() {
	r.absent.forget()
	r.fetched.forget()
}

// Send makes one attempt. It returns one result per recipient, in the order of
// m.To, and never an error: what failed is in the results. It ends when ctx
// does, at the latest after Timeouts.Total; cut off between the final dot and
// its reply, the results are Uncertain.
func (r *Relay) Send(ctx context.Context, m Message) []Result {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeouts.Total)
	defer cancel()
	a := newAttempt(r, m)
	if f := a.check(); f != nil {
		a.decideAll(f)
	}
	if len(a.open) == 0 {
		return a.results
	}
	key := "smarthost"
	if r.config.SmartHost == nil {
		key = a.domain
	}
	release, ok := r.domains.acquire(ctx, key, r.config.Patience)
	if !ok {
		f := temporary(Busy, "4.4.5")
		if ctx.Err() != nil {
			f = faultOf(ctx, ctx.Err())
		}
		a.decideAll(f)
		return a.results
	}
	defer release()
	a.run(ctx)
	a.results[0].Sessions = a.sessions
	return a.results
}

// attempt is the state of one Send.
type attempt struct {
	relay   *Relay
	m       Message
	domain  string // of all recipients, in A-labels; unused with a smart host
	results []Result
	open    []int  // recipients that nobody has decided about
	prefix  []byte // what Sign returned
	signed  bool
	at      place  // the host being tried
	spoken  int    // hosts that greeted us
	failed  *fault // what to report for those that stay open

	way      way
	sts      sts // what MTA-STS says of the destination
	sessions []queue.TLSSession
}

func newAttempt(r *Relay, m Message) *attempt {
	a := &attempt{relay: r, m: m, results: make([]Result, len(m.To))}
	for i, to := range m.To {
		a.results[i].Address = to
		a.open = append(a.open, i)
	}
	return a
}

// check refuses what must not reach the wire. An address was parsed long ago,
// but a Path can be made by hand, and a line end in it would be a command.
func (a *attempt) check() *fault {
	if len(a.m.To) > MaxRecipients {
		return temporary(TooMany, "4.5.3")
	}
	if from := a.m.From; !from.IsNull() && !valid(from) {
		return permanent(BadAddress, 0, "5.1.7")
	}
	for _, i := range append([]int(nil), a.open...) {
		to := a.m.To[i]
		if !valid(to) {
			a.decide(i, permanent(BadAddress, 0, "5.1.3"))
			continue
		}
		domain := message.CanonicalDomain(to.Domain)
		if a.domain == "" {
			a.domain = domain
		}
		if domain != a.domain && a.relay.config.SmartHost == nil {
			// The caller's mistake must not cost anybody a message.
			return temporary(TooMany, "4.3.5")
		}
	}
	return nil
}

func valid(p message.Path) bool {
	_, err := message.NewPath(p.Local, p.Domain, true)
	return err == nil
}

// decide settles one recipient.
func (a *attempt) decide(i int, f *fault) {
	r := &a.results[i]
	r.Outcome, r.Uncertain, r.Reason = f.outcome, f.uncertain, f.reason
	r.Code, r.Enhanced, r.Text = f.code, f.enhanced, f.text
	at := a.at
	if f.at != nil {
		at = *f.at
	}
	r.Host, r.IP, r.TLS = at.host, at.ip, at.tls
	r.Security = at.security
	if f.failure != "" {
		r.TLSFailure = f.failure
	}
	for at, j := range a.open {
		if j == i {
			a.open = append(a.open[:at:at], a.open[at+1:]...)
			return
		}
	}
}

func (a *attempt) decideAll(f *fault) {
	for len(a.open) > 0 {
		a.decide(a.open[0], f)
	}
}

// run asks host after host until all recipients are decided.
func (a *attempt) run(ctx context.Context) {
	var f *fault
	if a.way, f = a.relay.route(ctx, a.domain); f == nil {
		a.sts, f = a.relay.sts(ctx, a.m.Org, a.domain)
	}
	if f != nil {
		a.decideAll(f)
		return
	}
	if a.sts.failure != "" {
		a.report(queue.TLSSession{Policy: queue.PolicySTS, PolicyText: a.sts.lines(), Failure: a.sts.failure})
	}
	for _, h := range a.way.hops {
		if a.ask(ctx, h) {
			return
		}
	}
	a.decideAll(a.failed)
}

// ask tries the addresses of one host, and reports whether that ended the attempt.
func (a *attempt) ask(ctx context.Context, h hop) (done bool) {
	a.at = place{host: h.name}
	p, f := a.relay.addresses(ctx, h)
	var t terms
	if f == nil {
		t, f = a.terms(ctx, h, p)
		a.at.security = t.security()
	}
	if f != nil {
		a.count(&t, f)
		return a.note(f)
	}
	for _, addr := range p.addrs {
		f := a.try(ctx, h, addr, &t)
		if f != nil && a.note(f) || len(a.open) == 0 {
			return true
		}
		if a.spoken >= maxSessions {
			a.decideAll(a.failed)
			return true
		}
	}
	return false
}

// note remembers why a host did not work out, and reports whether that ends
// the attempt.
func (a *attempt) note(f *fault) (done bool) {
	if f.final {
		a.decideAll(f)
		return true
	}
	at := a.at
	f.at = &at
	a.failed = worse(a.failed, f)
	return false
}

// try holds one session with one address, and a second one in clear when
// STARTTLS failed on the first and nothing demands it.
func (a *attempt) try(ctx context.Context, h hop, addr netip.AddrPort, t *terms) *fault {
	a.at = place{host: h.name, ip: addr.Addr(), security: t.security()}
	if a.relay.absent.away(addr) {
		return temporary(Away, "4.4.1")
	}
	release, ok := a.relay.hosts.acquire(ctx, addr.String(), a.relay.config.Patience)
	if !ok {
		if ctx.Err() != nil {
			return faultOf(ctx, ctx.Err())
		}
		return temporary(Busy, "4.4.5")
	}
	defer release()
	s, f := a.relay.open(ctx, h, addr, t)
	if f != nil && f.reason == TLSFailed && t.demand == "" {
		// RFC 7435, section 3: rather in clear than not at all.
		why := f.failure
		if s, f = a.relay.open(ctx, h, addr, nil); s != nil {
			s.tls.Failed, s.failure = true, why
		}
	}
	if f != nil {
		a.count(t, f)
		if f.absent {
			a.relay.absent.failed(addr)
		}
		return f
	}
	defer s.close()
	a.relay.absent.answered(addr)
	a.spoken++
	a.at.tls, a.at.security.VerifiedBy, a.at.security.TLSFailure = s.tls, s.proof, cmp.Or(s.failure, a.sts.failure)
	a.count(t, &fault{failure: s.failure})
	return a.transact(ctx, s)
}
