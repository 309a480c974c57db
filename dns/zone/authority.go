package zone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"postern/dns"
)

// Bounds of the walk to the servers of a zone.
const (
	maxSteps     = 16 // delegations followed, and names asked on the way up
	maxServers   = 8  // servers of a zone that are asked, at one address of each family
	maxQuestions = 600
)

// server is an authoritative server at one of its addresses.
type server struct {
	name string
	addr netip.AddrPort
}

// authority is a zone and who answers for it.
type authority struct {
	zone    string   // its origin; "" is the root
	names   []string // of its servers, as the zone above names them, sorted
	servers []server // at most maxServers, each with its addresses
	own     bool     // this server itself says that the zone is there, below another of its own
}

// errNoAuthority: nobody could be found who answers for a name.
var errNoAuthority = errors.New("no server answers for the name")

// walk finds servers and asks them, within the bounds of one check.
type walk struct {
	client  *dns.Client
	port    uint16
	private bool // servers on loopback and private networks are asked
	ours    []netip.Addr
	left    chan struct{} // a token for each question that may still be asked
	patience
}

// ask puts a question to a server.
func (w *walk) ask(ctx context.Context, s server, name, typ string) (dns.Reply, error) {
	if w.lost(s.addr) {
		return dns.Reply{}, errors.New("it did not answer before")
	}
	select {
	case <-w.left:
		reply, err := w.client.Ask(ctx, s.addr, name, typ)
		w.note(s.addr, err)
		return reply, err
	default:
		return dns.Reply{}, errors.New("too many questions")
	}
}

// patience is who was asked in vain: one that is down must not use up the time that
// the others need.
type patience struct {
	mu     sync.Mutex
	silent map[netip.AddrPort]int
}

// maxSilence is how many questions a server may leave without any answer.
const maxSilence = 2

func (p *patience) lost(addr netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent[addr] >= maxSilence
}

func (p *patience) note(addr netip.AddrPort, err error) {
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent == nil {
		p.silent = map[netip.AddrPort]int{}
	}
	p.silent[addr]++
}

// find finds the zone that holds a name: from the closest zone above that the
// resolver knows, down along the delegations, as a resolver does. Each step leads to
// a longer name, so there is no circle.
func (w *walk) find(ctx context.Context, name string) (authority, error) {
	at, err := w.above(ctx, name)
	if err != nil {
		return at, err
	}
	return w.descend(ctx, at, name)
}

// above is the closest zone above a name that the resolver finds servers for. The
// name itself is not asked for: what its own servers say of it is not what the zone
// above says.
func (w *walk) above(ctx context.Context, name string) (authority, error) {
	for range maxSteps {
		name = parent(name)
		asked := name
		if asked == "" {
			asked = "."
		}
		a, err := w.client.Lookup(ctx, asked, "NS")
		if err == nil && a.Name == name {
			at := w.locate(ctx, name, a.Records, nil)
			if len(at.servers) > 0 {
				return at, nil
			}
		}
		if name == "" || ctx.Err() != nil {
			break
		}
	}
	return authority{}, errNoAuthority
}

// parent takes the first label off.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// descend goes down the delegations from a zone to the one that holds the name.
func (w *walk) descend(ctx context.Context, at authority, name string) (authority, error) {
	for range maxSteps {
		next, done := w.step(ctx, at, name)
		if done || len(next.servers) == 0 {
			if len(next.names) == 0 {
				return at, errNoAuthority
			}
			return next, nil
		}
		at = next
	}
	return at, errNoAuthority
}

// step asks the servers of a zone, one after the other, whose the name is. Servers
// that do not answer for the zone are passed over. done says that the zone returned
// holds the name.
func (w *walk) step(ctx context.Context, at authority, name string) (next authority, done bool) {
	for _, s := range at.servers {
		reply, err := w.ask(ctx, s, name, "NS")
		if err != nil {
			continue
		}
		if cut, names := referral(reply, at.zone, name); cut != "" {
			return w.locate(ctx, cut, names, glue(reply, at.zone)), cut == name
		}
		if !reply.Authoritative {
			continue // lame
		}
		zone, names := owner(reply, at.zone, name)
		if zone == at.zone {
			return at, true
		}
		if len(names) == 0 { // the same server holds a zone further down
			below, err := w.ask(ctx, s, zone, "NS")
			if err != nil || !below.Authoritative {
				continue
			}
			_, names = owner(below, at.zone, zone)
		}
		next = w.locate(ctx, zone, names, glue(reply, at.zone))
		next.own = slices.Contains(w.ours, s.addr.Addr())
		return next, true
	}
	return authority{}, true
}

// referral is where a reply sends on to: a name below the zone that was asked and
// not below the name that was asked for. Records of any other name are passed over.
func referral(reply dns.Reply, zone, name string) (cut string, names []string) {
	if reply.Authoritative || len(reply.Answer) > 0 {
		return "", nil
	}
	for _, r := range reply.Authority {
		if r.Type != "NS" || r.Name == zone || !below(r.Name, zone) || !Within(name, r.Name) {
			continue
		}
		if cut == "" || cut == r.Name {
			cut, names = r.Name, append(names, r.Value)
		}
	}
	return cut, names
}

// below reports whether a name is in a zone, which may be the root.
func below(name, zone string) bool { return zone == "" || Within(name, zone) }

// owner is the zone of which an authoritative reply speaks, and its servers when the
// reply names them.
func owner(reply dns.Reply, zone, name string) (found string, names []string) {
	for _, r := range reply.Answer {
		if r.Type == "NS" && r.Name == name {
			names = append(names, r.Value)
		}
	}
	if len(names) > 0 {
		return name, names
	}
	for _, r := range reply.Authority {
		if r.Type == "SOA" && below(r.Name, zone) && Within(name, r.Name) {
			return r.Name, nil
		}
	}
	return zone, nil
}

// glue are addresses that came along, by name. Only those of names below the zone
// that gave them are believed.
func glue(reply dns.Reply, zone string) map[string][]netip.Addr {
	all := map[string][]netip.Addr{}
	for _, r := range reply.Additional {
		if (r.Type == "A" || r.Type == "AAAA") && below(r.Name, zone) {
			if ip, err := netip.ParseAddr(r.Value); err == nil {
				all[r.Name] = append(all[r.Name], ip)
			}
		}
	}
	return all
}

// locate finds the addresses of a zone's servers: those that came along, or else
// the resolver's.
func (w *walk) locate(ctx context.Context, zone string, names []string, known map[string][]netip.Addr) authority {
	slices.Sort(names)
	at := authority{zone: zone, names: slices.Compact(names)}
	for _, name := range at.names[:min(len(at.names), maxServers)] {
		ips := known[name]
		if len(ips) == 0 {
			if a, err := w.client.LookupIP(ctx, name); err == nil {
				ips = a.Records
			}
		}
		at.servers = append(at.servers, w.reachable(name, ips)...)
	}
	return at
}

// reachable are the addresses that are asked: one of each family, and none by which
// a stranger's zone would have this server ask its own network.
func (w *walk) reachable(name string, ips []netip.Addr) (all []server) {
	families := map[bool]bool{} // by whether it is IPv4
	for _, ip := range ips {
		ip = ip.Unmap()
		if families[ip.Is4()] || !w.private && !dns.IsPublic(ip) && !slices.Contains(w.ours, ip) {
			continue
		}
		families[ip.Is4()] = true
		all = append(all, server{name, netip.AddrPortFrom(ip, w.port)})
	}
	return all
}

// describe names a server for a person.
func (s server) describe() string { return fmt.Sprintf("%s (%s)", s.name, s.addr.Addr()) }
