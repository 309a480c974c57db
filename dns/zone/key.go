package zone

import (
	"context"
	"errors"
	"sync"
	"time"

	"postern/dkim"
	"postern/dns"
)

// Key asks whether a DKIM key can be found by everybody: OK when every server of
// the zone and the resolver show exactly this one. One that says otherwise decides;
// and where a server cannot be asked at any of its addresses, or nobody is found who
// answers for the name, the state is Unknown: what is not seen is not there.
//
// Of a record that is not OK, keep is for how long the resolver, and others with it,
// may go on giving the answer that they have; zero when nobody said.
//
// Of the facts, Domain, Host, Addresses and Target count.
func (c *Checker) Key(ctx context.Context, f Facts, key Key) (state State, keep time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, CheckTime)
	defer cancel()
	f.Keys, f.Names = []Key{key}, ByHand
	if err := f.normalize(); err != nil {
		return Unknown, 0, err
	}
	k := c.begin(ctx, f)
	k.scene.facts = k.facts
	if k.at, err = k.find(ctx, f.Domain); err != nil {
		return Unknown, 0, nil
	}
	r := Record{Group: Send, Purpose: PurposeDKIM, Name: dkim.RecordName(key.Selector, f.Domain), Type: "TXT", Value: key.Record, TTL: TTL, Required: true}
	var all sync.WaitGroup
	cached := Unknown
	all.Go(func() { cached, keep = k.cachedKey(ctx, r) })
	state = k.servedKey(ctx, r)
	all.Wait()
	if severity(cached) > severity(state) {
		state = cached
	}
	return state, keep, nil
}

// cachedKey is what the resolver says.
func (k *check) cachedKey(ctx context.Context, r Record) (State, time.Duration) {
	found, err := k.client.Lookup(ctx, r.Name, r.Type)
	var no *dns.Error
	switch {
	case err == nil:
		return judge(r, seen{values: found.Records}, k.scene).state, found.TTL
	case errors.Is(err, dns.ErrNotFound) && errors.As(err, &no):
		return Missing, no.TTL
	}
	return Unknown, 0
}

// servedKey is what all servers of the zone say, each of them at one of its
// addresses at least: a host without IPv6 never hears those that are there.
func (k *check) servedKey(ctx context.Context, r Record) State {
	if len(k.at.names) == 0 || len(k.at.names) > maxServers || !below(r.Name, k.at.zone) {
		return Unknown
	}
	said := make([]*answers, len(k.at.servers))
	var all sync.WaitGroup
	for i, s := range k.at.servers {
		all.Go(func() { said[i] = k.askServer(ctx, k.at, s, r.Name, r.Type) })
	}
	all.Wait()
	heard, worst := map[string]bool{}, OK
	for i, a := range said {
		if a == nil {
			continue
		}
		heard[k.at.servers[i].name] = true
		if state := judge(r, seen{values: a.values}, k.scene).state; severity(state) > severity(worst) {
			worst = state
		}
	}
	if worst == OK && len(heard) < len(k.at.names) {
		return Unknown
	}
	return worst
}
