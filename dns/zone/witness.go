package zone

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/dns"
)

// answers are what one witness says of a name and type.
type answers struct {
	values []string // sorted; of the end of the alias, where there is one
	alias  string   // where a CNAME at the name leads to
}

func (a answers) empty() bool { return len(a.values) == 0 && a.alias == "" }

// witnesses are all who were asked about a name and type.
type witnesses struct {
	direct   []answers // the servers of the zone that answered
	resolver *answers  // nil: it could not say
}

func (w witnesses) all() []answers {
	if w.resolver == nil {
		return w.direct
	}
	return append(slices.Clone(w.direct), *w.resolver)
}

// witnesses asks every server of the zone that holds a name, and the resolver. Of
// names outside of the domain's zone only the resolver is asked.
func (k *check) witnesses(ctx context.Context, name, typ string) (w witnesses) {
	var all sync.WaitGroup
	all.Go(func() { w.resolver = k.resolve(ctx, name, typ) })
	if below(name, k.at.zone) && len(k.at.servers) > 0 {
		w.direct = k.direct(ctx, k.at, name, typ)
	}
	all.Wait()
	return w
}

// direct asks all servers of a zone at once.
func (k *check) direct(ctx context.Context, at authority, name, typ string) []answers {
	out := make([]*answers, len(at.servers))
	var all sync.WaitGroup
	for i, s := range at.servers {
		all.Go(func() { out[i] = k.askServer(ctx, at, s, name, typ) })
	}
	all.Wait()
	var said []answers
	for _, a := range out {
		if a != nil {
			said = append(said, *a)
		}
	}
	return said
}

// askServer asks one server; nil when it gave no answer of its own. A part of the
// zone that is handed on is asked for there.
func (k *check) askServer(ctx context.Context, at authority, s server, name, typ string) *answers {
	reply, err := k.ask(ctx, s, name, typ)
	if err == nil && !reply.Authoritative {
		if cut, names := referral(reply, at.zone, name); cut != "" {
			return k.below(ctx, cut, names, glue(reply, at.zone), name, typ)
		}
		err = errors.New("it does not answer for the zone")
	}
	if err != nil {
		if ctx.Err() == nil {
			k.seenMu.Lock()
			k.mute[s.describe()] = true
			k.seenMu.Unlock()
		}
		return nil
	}
	a := answered(reply, name, typ)
	switch {
	case a.alias != "" && typ != "CNAME":
		// Where the alias leads to is another zone's: ask as everybody does.
		end := k.resolve(ctx, a.alias, typ)
		if end == nil {
			return nil
		}
		a.values = end.values
	case typ == "CNAME" && a.alias == "":
		a.values = k.addresses(ctx, s, name)
	}
	return &a
}

// below asks the servers of a part of the zone that is handed on; one of them speaks
// for it.
func (k *check) below(ctx context.Context, cut string, names []string, known map[string][]netip.Addr, name, typ string) *answers {
	k.seenMu.Lock()
	at, ok := k.zones[cut]
	k.seenMu.Unlock()
	if !ok {
		at = k.locate(ctx, cut, names, known)
		k.seenMu.Lock()
		k.zones[cut] = at
		k.seenMu.Unlock()
	}
	for _, s := range at.servers {
		if reply, err := k.ask(ctx, s, name, typ); err == nil && reply.Authoritative {
			a := answered(reply, name, typ)
			return &a
		}
	}
	return nil
}

// addresses are those that a name has by itself, where it is no alias.
func (k *check) addresses(ctx context.Context, s server, name string) (all []string) {
	for _, typ := range []string{"A", "AAAA"} {
		if reply, err := k.ask(ctx, s, name, typ); err == nil && reply.Authoritative {
			all = append(all, answered(reply, name, typ).values...)
		}
	}
	return all
}

// answered takes out of a reply what was asked for: records of exactly this name and
// type, and where an alias leads to. Whatever else a server adds is not believed.
func answered(reply dns.Reply, name, typ string) (a answers) {
	for _, r := range reply.Answer {
		switch {
		case r.Name != name:
		case r.Type == "CNAME":
			a.alias = r.Value
		case r.Type == typ:
			a.values = append(a.values, r.Value)
		}
	}
	slices.Sort(a.values)
	a.values = slices.Compact(a.values)
	return a
}

// resolverTime is how long a resolver may take for one answer: the servers of the
// zone say more.
const resolverTime = 2 * time.Second

// resolvers stands for those of the client among the servers that are asked in vain.
var resolvers netip.AddrPort

// resolve asks the resolver; nil when it could not say.
func (k *check) resolve(ctx context.Context, name, typ string) *answers {
	if k.lost(resolvers) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolverTime)
	defer cancel()
	found, err := k.client.Lookup(ctx, name, typ)
	if err != nil && !errors.Is(err, dns.ErrNotFound) {
		k.note(resolvers, err)
		return nil
	}
	a := answers{values: found.Records}
	switch {
	case typ == "CNAME" && err == nil:
		a.alias, a.values = found.Records[0], nil
	case typ == "CNAME":
		if ips, err := k.client.LookupIP(ctx, name); err == nil {
			for _, ip := range ips.Records {
				a.values = append(a.values, ip.String())
			}
		}
	case err == nil && found.Name != name:
		a.alias = found.Name // the end of the chain, or of its only step
	}
	slices.Sort(a.values)
	return &a
}

// relevant is what a person is shown of the answers beside the record.
func (a answers) relevant(r Record) (found []string) {
	if a.alias != "" {
		found = append(found, "CNAME "+a.alias)
	}
	for _, v := range a.values {
		// At the name of the domain stand texts of all kinds: only SPF is of concern.
		if r.Purpose != PurposeSPF || isSPF(v) || strings.HasPrefix(strings.ToLower(v), "v=spf") {
			found = append(found, v)
		}
	}
	return found[:min(len(found), maxFound)]
}

// maxFound is how many records of one name are shown.
const maxFound = 12
