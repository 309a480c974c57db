package acme

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/dns/zone"
	"postern/storage"
)

// prefixes are the names of a domain that lead to this server where its records are
// in place: its MTA-STS policy (RFC 8461, section 3.3), and what mail programs ask.
var prefixes = []string{"mta-sts.", "autoconfig.", "autodiscover."}

// look is what was seen of one name.
type look struct {
	at   time.Time
	here bool
}

// Times and bounds of looking.
const (
	lookAgain = 10 * time.Minute // at a name that leads elsewhere
	lookHere  = time.Hour        // at one that leads here
	lookMost  = 100              // names in one round, each a question or two
	lookTime  = 10 * time.Second // of one name
	listEvery = 30 * time.Second // all domains
	listPage  = 500
)

// look finds out, twice a minute, which names there should be certificates for: the
// server's own, and those of its domains that lead to the same addresses.
func (k *Keeper) look(ctx context.Context) error {
	now := k.o.Now()
	if since := now.Sub(k.lookedAt); since >= 0 && since < listEvery && !k.again.Swap(false) {
		return nil
	}
	operator, err := k.operator(ctx)
	if err != nil {
		return err
	}
	all, served, err := k.possible(ctx)
	if err != nil {
		return err
	}
	var here []name
	own := k.o.Own()
	if own == nil || !covers(own, k.o.Host) {
		here = append(here, name{k.o.Host, operator, served})
	}
	asked, ours := 0, map[string]bool{k.o.Host: true}
	for _, n := range all {
		ours[n.text] = true
		if own != nil && covers(own, n.text) {
			continue
		}
		if k.lookAt(ctx, n.text, &asked) {
			here = append(here, n)
		}
	}
	if asked < lookMost {
		k.lookedAt = now
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted, k.ours = here, ours
	maps.DeleteFunc(k.looked, func(text string, _ look) bool { return !ours[text] })
	return nil
}

// possible are the names of all domains of all organizations, as far as they are
// valid, and whether the server's own name lies in one that is delegated to it.
func (k *Keeper) possible(ctx context.Context) (all []name, served bool, err error) {
	if k.o.Resolver == nil {
		return nil, false, nil
	}
	orgs, err := k.store.Organizations(ctx)
	for _, org := range orgs {
		for after := uuid.Nil; err == nil; {
			var domains []storage.Domain
			domains, err = k.store.Domains(ctx, org.ID, after, listPage)
			for _, d := range domains {
				after = d.ID
				delegated := d.Names == storage.NamesDelegated
				served = served || delegated && zone.Within(k.o.Host, d.Name)
				for _, p := range prefixes {
					if text, err := dns.Name(p + d.Name); err == nil && text != k.o.Host {
						all = append(all, name{text, org.ID, delegated})
					}
				}
			}
			if len(domains) < listPage {
				break
			}
		}
	}
	return all, served, err
}

// lookAt reports whether a name leads here, by what was seen not long ago or by
// asking now. Where nobody answers, what was seen before holds.
func (k *Keeper) lookAt(ctx context.Context, text string, asked *int) bool {
	now := k.o.Now()
	k.mu.RLock()
	seen, ok := k.looked[text]
	if !ok && k.held[text] != nil {
		seen.here = true
	}
	k.mu.RUnlock()
	again := lookAgain
	if seen.here {
		again = lookHere
	}
	if ok && now.Sub(seen.at) < again && now.After(seen.at.Add(-again)) || *asked >= lookMost {
		return seen.here
	}
	*asked++
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	here, err := k.leadsHere(ctx, text)
	if err != nil {
		here = seen.here
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked[text] = look{now, here}
	return here
}

// leadsHere reports whether a name has an address that the server's name has too.
func (k *Keeper) leadsHere(ctx context.Context, text string) (bool, error) {
	theirs, err := k.addresses(ctx, text)
	if err != nil || len(theirs) == 0 {
		return false, err
	}
	ours, err := k.addresses(ctx, k.o.Host)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(theirs, func(ip netip.Addr) bool { return slices.Contains(ours, ip) }), nil
}

func (k *Keeper) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	answer, err := k.o.Resolver.LookupIP(ctx, host)
	if errors.Is(err, dns.ErrNotFound) {
		return nil, nil
	}
	return answer.Records, err
}
