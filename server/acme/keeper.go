package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"postern/dns"
	"postern/storage"
	"postern/storage/audit"
)

// Options say which certificates there are to be. Host is required.
type Options struct {
	Host      string // this server's name, A-labels in lower case
	Directory string // URL of the authority's directory; empty: no authority is asked
	Contact   string // mail address that the authority may write to; may be empty
	// Challenges are tried in this order. One that cannot be answered must not be
	// here: HTTP-01 needs port 80, TLS-ALPN-01 port 443, DNS-01 needs Names.
	Challenges []string
	// Everywhere tries DNS-01 for names too of which no check has found that their zone
	// is delegated to this server.
	Everywhere bool
	Roots      *x509.CertPool // to verify the authority's server with; nil: the system's
	Names      Names          // for DNS-01; nil: none
	Resolver   dns.Resolver   // says which names lead here; nil: Host alone is asked for
	// Own returns the certificate of the operator's own files, which comes before
	// any other for the names that it covers; nil: there is none.
	Own func() *tls.Certificate
	// StandIn is shown while there is no other certificate, for as long as it holds;
	// nil: one is made at each start.
	StandIn *tls.Certificate
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
}

// Keeper has the server's certificates.
type Keeper struct {
	o          Options
	store      *storage.Store
	files      *files
	challenges *challenges
	issuer     *issuer
	cache      *certmagic.Cache // certmagic asks for one; nothing is in it
	magic      *certmagic.Config
	kick       chan struct{}
	working    sync.Mutex  // held for an attempt: one at a time
	lookedAt   time.Time   // at the list of all domains; of Round alone
	again      atomic.Bool // the list is to be looked at, whenever that was before
	stop       func()

	mu       sync.RWMutex
	held     map[string]*held                      // by name
	attempts map[string]storage.CertificateAttempt // that failed, by name
	wanted   []name                                // that lead here
	ours     map[string]bool                       // these, and all others that a domain of this server may have; nil: not known yet
	looked   map[string]look                       // at names of domains
	warned   map[string]time.Time
	stopgap  *tls.Certificate
}

// held is a certificate of an authority.
type held struct {
	cert      *tls.Certificate
	authority string
	name      name
	file      uuid.UUID // of the chain
	since     time.Time // it was obtained
}

// name is one that this server should have a certificate for.
type name struct {
	text   string
	org    uuid.UUID
	served bool // its zone is delegated to this server
}

// New makes a keeper, with the certificates that the store has. Run it, and hand
// its GetCertificate to the doors.
func New(ctx context.Context, store *storage.Store, o Options) (*Keeper, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Own == nil {
		o.Own = func() *tls.Certificate { return nil }
	}
	k := &Keeper{o: o, store: store, files: newFiles(store), challenges: newChallenges(o.Names), kick: make(chan struct{}, 1),
		held: map[string]*held{}, attempts: map[string]storage.CertificateAttempt{}, looked: map[string]look{}, warned: map[string]time.Time{}}
	k.issuer = &issuer{directory: o.Directory, contact: o.Contact, challenges: k.challenges, store: store,
		org: k.operator, http: client(o.Roots)}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	if err := k.refreshStopgap(); err != nil {
		return nil, err
	}
	k.magic = k.configure()
	k.stop = sync.OnceFunc(k.cache.Stop)
	return k, nil
}

// configure sets certmagic up by itself: nothing of its package's defaults is
// used. It reports nothing on its own; what happens is in the log of events.
func (k *Keeper) configure() *certmagic.Config {
	silent := zap.NewNop()
	var config *certmagic.Config
	k.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil }, Logger: silent,
	})
	config = certmagic.New(k.cache, certmagic.Config{
		Storage: k.files, DisableStorageCheck: true, Issuers: []certmagic.Issuer{k.issuer}, Logger: silent,
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		// A new key for each certificate; when to renew is decided here.
		DisableARI: true, OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	return config
}

// Close ends what New began, for a keeper that is never Run.
func (k *Keeper) Close() { k.stop() }

// operator is the organization that the server itself belongs to: the first.
func (k *Keeper) operator(ctx context.Context) (uuid.UUID, error) {
	all, err := k.store.Organizations(ctx)
	if err == nil && len(all) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return uuid.Nil, err
	}
	return all[0].ID, nil
}

// interval is how often Run looks whether something is due.
const interval = time.Second

// Run gets and renews certificates until the context is done. Without an authority
// it still warns of the end of the operator's own certificate.
func (k *Keeper) Run(ctx context.Context) {
	defer k.stop()
	if err := k.store.Upkeep(ctx, (*storage.Upkeep).ForgetCertificateLocks); err != nil && ctx.Err() == nil {
		k.o.Log.Error("locks of an earlier process are left to end by themselves", "error", err)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var said string
	for {
		switch err := k.Round(ctx); {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			k.o.Log.Error("certificates cannot be looked after, and are again in a moment", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.kick:
		}
	}
}

// Look has Run look at the names of all domains now: one was added, or its records
// are seen in the DNS.
func (k *Keeper) Look() {
	k.mu.Lock()
	clear(k.looked)
	k.mu.Unlock()
	k.again.Store(true)
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// Round does what is due: it looks which names lead here, gets and renews
// certificates, one after the other, and warns. Run calls it each second.
func (k *Keeper) Round(ctx context.Context) error {
	if err := k.refreshStopgap(); err != nil {
		return err
	}
	if k.o.Directory == "" {
		return k.warn(ctx)
	}
	if err := k.look(ctx); err != nil {
		return err
	}
	for _, n := range k.dueNames() {
		if ctx.Err() != nil {
			return nil
		}
		if err := k.try(ctx, n, storage.System); err != nil && !errors.As(err, new(*attemptError)) {
			return err
		}
	}
	return errors.Join(k.warn(ctx), k.removeForgotten(ctx))
}

// dueNames are the names for which something is to be done now.
func (k *Keeper) dueNames() (due []name) {
	now := k.o.Now()
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, n := range k.wanted {
		if k.dueAt(n.text).After(now) {
			continue
		}
		due = append(due, n)
	}
	return due
}

// dueAt is when a name is to be tried next.
func (k *Keeper) dueAt(n string) time.Time {
	at := time.Time{}
	if h := k.held[n]; h != nil && h.authority == k.issuer.IssuerKey() {
		at = h.renewAt()
	}
	if failed, ok := k.attempts[n]; ok && failed.Due.After(at) {
		at = failed.Due
	}
	return at
}

// renewAt is the time from which on a certificate is renewed: when a third of its
// life is left, which for one of 90 days leaves 30 for what may go wrong. One that
// is that old already when it comes is kept for a sixth of its life, so that a
// clock which is wrong does not make an authority's work.
func (h *held) renewAt() time.Time {
	leaf := h.cert.Leaf
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	at, least := leaf.NotAfter.Add(-life/3), h.since.Add(min(life/6, 24*time.Hour))
	if least.After(at) {
		return least
	}
	return at
}

// attempt is one try to get a certificate. It goes along in the context, so that
// the event says who wanted it and how it was had.
type attempt struct {
	name      string
	org       uuid.UUID
	actor     audit.Actor
	verb      audit.Verb
	authority string
	order     []string // challenges to try
	challenge string   // that succeeded
}

type attemptKey struct{}

// attemptError is an attempt that failed, and is on record.
type attemptError struct{ err error }

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

// try makes one attempt for a name. A failure is recorded, and is an
// *attemptError.
func (k *Keeper) try(ctx context.Context, n name, actor audit.Actor) error {
	k.working.Lock()
	defer k.working.Unlock()
	a := &attempt{name: n.text, org: n.org, actor: actor, verb: audit.CertificateObtain, authority: k.issuer.IssuerKey(), order: k.order(n)}
	k.mu.RLock()
	if k.held[n.text] != nil {
		a.verb = audit.CertificateRenew
	}
	k.mu.RUnlock()
	bounded, cancel := context.WithTimeout(context.WithValue(ctx, attemptKey{}, a), attemptTime)
	defer cancel()
	if err := k.magic.RenewCertSync(bounded, n.text, true); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // the server stops, which is nobody's failure
		}
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // without certmagic's words
		}
		return k.failed(ctx, a, err)
	}
	return k.load(ctx)
}

// order is which challenges are tried for a name.
func (k *Keeper) order(n name) []string {
	return slices.DeleteFunc(slices.Clone(k.o.Challenges), func(challenge string) bool {
		return challenge == DNS01 && !n.served && !k.o.Everywhere
	})
}

// Renew gets a new certificate for a name of an organization now, whether one is
// due or not. ErrNotFound when the server has no such name there.
func (k *Keeper) Renew(ctx context.Context, actor audit.Actor, org uuid.UUID, text string) error {
	k.mu.RLock()
	var n name
	for _, w := range k.wanted {
		if w.text == text && w.org == org {
			n = w
		}
	}
	k.mu.RUnlock()
	if n.text == "" {
		return storage.ErrNotFound
	}
	return k.try(ctx, n, actor)
}
