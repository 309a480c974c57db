package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/dns/zone"
	"postern/storage"
)

// names keeps the zones of the embedded name server as the domains are. Each domain
// has three, all of them records of its plan, for whichever of them is delegated here
// (storage.DomainNames):
//
//	DOMAIN             the whole plan
//	_domainkey.DOMAIN  its keys
//	DOMAIN.ZONE        its keys, as SELECTOR.DOMAIN.ZONE, where dns.zone is configured
//
// They are served before anybody delegates them: nobody asks then, and a delegation
// works at once. A zone whose domain is not owned is not served below a zone of
// another organization that is, or below dns.zone: whoever adds the name of somebody
// else's host as a domain must not be able to answer for it, and less so to prove
// that way that it is theirs.
type names struct {
	server *nameserver.Server
	store  *storage.Store
	facts  func(context.Context, storage.Domain) (zone.Facts, error)
	host   string // name server of all zones
	target string // dns.zone; may be empty
	log    *slog.Logger
	on     bool // it listens

	mu         sync.Mutex
	domains    map[storage.DomainRef]*hosted
	byName     map[string]*hosted
	shown      map[string]*nameserver.Zone // by origin
	challenges map[string][]string         // texts by name
}

// hosted is a domain as it is served.
type hosted struct {
	ref   storage.DomainRef
	name  string
	owned bool
	zones []*nameserver.Zone
}

// namesTTL is how long a resolver may keep who serves a zone, and that a name is not
// there. Short: a key that is made is to be seen soon.
const namesTTL = 5 * time.Minute

// challengeTTL is that of a record that one asks for once.
const challengeTTL = time.Second

// lookEvery is how often all domains are read again, in case something changed that
// nobody told of, such as an address of this machine.
const lookEvery = 10 * time.Minute

// retryNames is how long reading waits after it failed.
const retryNames = time.Second

func newNames(s *Server) *names {
	target, _ := dns.Name(s.cfg.DNS.Zone)
	return &names{
		server: nameserver.NewPublic(nameserver.Options{Rate: nameserver.PublicRate, Log: s.log}),
		store:  s.store, facts: s.facts, host: s.cfg.Host, target: target, log: s.log,
		domains: map[storage.DomainRef]*hosted{}, byName: map[string]*hosted{},
		shown: map[string]*nameserver.Zone{}, challenges: map[string][]string{},
	}
}

// listen takes the addresses. Who asks waits for run; without addresses nobody can.
func (n *names) listen(addrs []string) error {
	for _, addr := range addrs {
		err := n.server.Listen(addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return &ConfigError{Key: "listen.dns", Text: "another program has the port", Err: err,
				Hint: `where that is a resolver on loopback, name the addresses of the Internet: "192.0.2.25:53, [2001:db8::25]:53"`}
		}
		if err != nil {
			return fmt.Errorf("listen.dns: %w", err)
		}
		n.on = true
	}
	return nil
}

// stop ends the name server; one that never listened as well.
func (n *names) stop(ctx context.Context) error { return n.server.Stop(ctx) }

// run reads all domains, answers, and follows what changes until the context is done.
func (n *names) run(ctx context.Context) {
	if !n.on {
		return
	}
	watch := n.store.WatchDomains()
	defer watch.Stop()
	n.try(ctx, n.readAll(ctx))
	n.server.Serve()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-watch.Hint():
			n.try(ctx, n.read(ctx, watch.Take()))
		case <-tick.C:
			n.try(ctx, n.readAll(ctx))
		}
	}
}

// try reads all domains again until that succeeds, where reading failed.
func (n *names) try(ctx context.Context, err error) {
	for err != nil && ctx.Err() == nil {
		n.log.Error("the name server knows what it knew before; domains are read again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryNames):
			err = n.readAll(ctx)
		}
	}
}

// namesPage is how many domains one short read takes.
const namesPage = 500

// readAll reads every domain.
func (n *names) readAll(ctx context.Context) error {
	orgs, err := n.store.Organizations(ctx)
	if err != nil {
		return err
	}
	var all []*hosted
	for _, org := range orgs {
		some, err := n.ofOrganization(ctx, org.ID)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.domains)
	clear(n.byName)
	n.put(all)
	return nil
}

func (n *names) ofOrganization(ctx context.Context, org uuid.UUID) (all []*hosted, err error) {
	for after := uuid.Nil; ; {
		domains, err := n.store.Domains(ctx, org, after, namesPage)
		if err != nil || len(domains) == 0 {
			return all, err
		}
		for _, d := range domains {
			h, err := n.zonesOf(ctx, d)
			if err != nil {
				return nil, err
			}
			all = append(all, h)
			after = d.ID
		}
	}
}

// read reads the domains that changed.
func (n *names) read(ctx context.Context, changed []storage.DomainRef) error {
	var all []*hosted
	var gone []storage.DomainRef
	for _, ref := range changed {
		if ref.Domain == uuid.Nil {
			return n.readAll(ctx)
		}
		d, err := n.store.Domain(ctx, ref.Org, ref.Domain)
		if errors.Is(err, storage.ErrNotFound) {
			gone = append(gone, ref)
			continue
		}
		if err != nil {
			return err
		}
		h, err := n.zonesOf(ctx, d)
		if err != nil {
			return err
		}
		all = append(all, h)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ref := range gone {
		n.drop(ref)
	}
	n.put(all)
	return nil
}

// drop forgets a domain. The caller holds the lock, and shows.
func (n *names) drop(ref storage.DomainRef) {
	if h := n.domains[ref]; h != nil {
		delete(n.domains, ref)
		delete(n.byName, h.name)
	}
}

// put takes domains over, and shows. The caller holds the lock.
func (n *names) put(all []*hosted) {
	for _, h := range all {
		n.domains[h.ref] = h
		n.byName[h.name] = h
	}
	n.show()
}

// zonesOf makes the zones of a domain.
func (n *names) zonesOf(ctx context.Context, d storage.Domain) (*hosted, error) {
	f, err := n.facts(ctx, d)
	if err != nil {
		return nil, err
	}
	h := &hosted{ref: storage.DomainRef{Org: d.Org, Domain: d.ID}, name: d.Name, owned: d.Owned}
	f.Names = zone.Delegated // here, every name is kept by this server
	records, err := zone.Plan(f)
	if err != nil {
		// One domain that has no plan is no reason to leave the others as they were.
		n.log.Error("a domain has no plan, and is not served", "domain", d.ID, "error", err)
		return h, nil
	}
	h.zones = append(h.zones, n.zone(d.Name, d.Name, records))
	if d.Names != storage.NamesDelegated {
		h.zones = append(h.zones, n.zone("_domainkey."+d.Name, d.Name, records))
	}
	if n.target != "" && len(d.Name)+1+len(n.target) <= maxName {
		h.zones = append(h.zones, n.targets(d.Name, f.Keys))
	}
	return h, nil
}

// zone is those records that lie in a zone. The records that delegate it are its own.
func (n *names) zone(origin, domain string, records []zone.Record) *nameserver.Zone {
	z := &nameserver.Zone{Origin: origin, Nameservers: []string{n.host}, Hostmaster: "postmaster." + domain, TTL: namesTTL}
	for _, r := range records {
		typ, ok := recordTypes[r.Type]
		if ok && zone.Within(r.Name, origin) && len(r.Name) <= maxName {
			z.Records = append(z.Records, nameserver.Record{Name: r.Name, Type: typ, TTL: r.TTL, Data: r.Value})
		}
	}
	return z
}

// maxName is how long a domain name may be (RFC 1035, section 2.3.4): a very long
// domain goes without some of the names below it.
const maxName = 253

var recordTypes = map[string]nameserver.Type{
	"A": nameserver.A, "AAAA": nameserver.AAAA, "CNAME": nameserver.CNAME, "MX": nameserver.MX, "SRV": nameserver.SRV,
	"TXT": nameserver.TXT, "TLSA": nameserver.TLSA, "CAA": nameserver.CAA,
}

// targets is the zone that the selectors of a domain point to by CNAME.
func (n *names) targets(domain string, keys []zone.Key) *nameserver.Zone {
	z := &nameserver.Zone{Origin: domain + "." + n.target, Nameservers: []string{n.host}, Hostmaster: "postmaster." + domain, TTL: namesTTL}
	for _, k := range keys {
		if len(k.Selector)+1+len(z.Origin) > maxName {
			continue
		}
		z.Records = append(z.Records, nameserver.Record{Name: k.Selector + "." + z.Origin, Type: nameserver.TXT, TTL: zone.TTL, Data: k.Record})
	}
	return z
}

// show brings the name server to what may be seen. The caller holds the lock.
func (n *names) show() {
	want := map[string]*nameserver.Zone{}
	if n.target != "" {
		want[n.target] = &nameserver.Zone{Origin: n.target, Nameservers: []string{n.host}, Hostmaster: "postmaster." + n.host, TTL: namesTTL}
		if before := n.shown[n.target]; before != nil {
			want[n.target] = before
		}
	}
	for _, h := range n.domains {
		if n.hidden(h) {
			continue
		}
		for _, z := range h.zones {
			want[z.Origin] = z
		}
	}
	n.challenge(want)
	var set []nameserver.Zone
	var drop []string
	for origin, z := range want {
		if n.shown[origin] != z {
			set = append(set, *z)
		}
	}
	for origin := range n.shown {
		if want[origin] == nil {
			drop = append(drop, origin)
		}
	}
	if err := n.server.Change(set, drop); err != nil {
		n.log.Error("a zone is served as it was before", "error", err)
	}
	n.shown = want
}

// hidden reports whether a domain is not served: see names.
func (n *names) hidden(h *hosted) bool {
	if h.owned {
		return false
	}
	if n.target != "" && zone.Within(h.name, n.target) {
		return true
	}
	for _, above, ok := strings.Cut(h.name, "."); ok; _, above, ok = strings.Cut(above, ".") {
		if a := n.byName[above]; a != nil && a.owned && a.ref.Org != h.ref.Org {
			return true
		}
	}
	return false
}

// challenge puts the challenges into the zones that hold them.
func (n *names) challenge(want map[string]*nameserver.Zone) {
	for name, texts := range n.challenges {
		z := holding(want, name)
		if z == nil {
			continue
		}
		with := *z
		with.Records = slices.Clone(z.Records)
		for _, text := range texts {
			with.Records = append(with.Records, nameserver.Record{Name: name, Type: nameserver.TXT, TTL: challengeTTL, Data: text})
		}
		want[z.Origin] = &with
	}
}

// holding is the zone that a name lies in, the one with the longest origin.
func holding(zones map[string]*nameserver.Zone, name string) *nameserver.Zone {
	for at, ok := name, true; ok; _, at, ok = strings.Cut(at, ".") {
		if z := zones[at]; z != nil {
			return z
		}
	}
	return nil
}

// ErrNotServed is why a challenge cannot be set.
var ErrNotServed = errors.New("the name lies in no zone that this server serves")

// SetChallenge adds a TXT record at a name, such as _acme-challenge.example.com for
// DNS-01 (RFC 8555, section 8.4); there may be several of one name. It is in the
// next answer. ErrNotServed when no zone here holds the name; whether anybody asks
// this server for it, is for the caller to know (storage.Domain.Names).
func (n *names) SetChallenge(name, text string) error {
	name, err := dns.Name(name)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on || holding(n.shown, name) == nil {
		return fmt.Errorf("%w: %s", ErrNotServed, name)
	}
	if !slices.Contains(n.challenges[name], text) {
		n.challenges[name] = append(n.challenges[name], text)
	}
	n.show()
	return nil
}

// ClearChallenge takes a record away that SetChallenge added.
func (n *names) ClearChallenge(name, text string) {
	name, err := dns.Name(name)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.challenges[name] = slices.DeleteFunc(n.challenges[name], func(t string) bool { return t == text })
	if len(n.challenges[name]) == 0 {
		delete(n.challenges, name)
	}
	n.show()
}
