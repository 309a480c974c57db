package servertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"postern/dns"
	"postern/dns/nameserver"
	"postern/dns/zone"
)

// World is what servers share: names, the port of mail exchange, and time.
type World struct {
	Clock Clock
	Names *nameserver.Server // knows every name; what is not in it does not exist
	// Recursor is asked in place of Names, if it is set before a server is up.
	Recursor dns.Resolver

	port     int
	reserved net.Listener // keeps the port from other worlds
	mu       sync.Mutex
	servers  []*Postern
	next     byte // last part of the next server's address

	authority *authority
	policies  *policies
}

// reservedIP is where each world holds its port; no server has this address.
const reservedIP = "127.0.77.1"

// reserve takes a port that a server will have at an address of its own. It lies below
// those that the kernel gives to who asks for any (ip(7), ip_local_port_range), or a
// door of another world's server could have it there.
func reserve() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", net.JoinHostPort(reservedIP, strconv.Itoa(20000+rand.N(12000)))); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// NewWorld makes an empty world. Close it after its servers; New does both.
func NewWorld() (*World, error) {
	l, err := reserve()
	if err != nil {
		return nil, err
	}
	w := &World{Names: nameserver.New(), reserved: l, port: l.Addr().(*net.TCPAddr).Port, next: 2}
	// The world is all there is, and its hosts are on loopback.
	err = errors.Join(
		w.Names.SetZone(nameserver.Zone{Origin: ".", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
			{Name: "ns.test", Type: nameserver.A, Data: "127.0.0.1"},
		}}),
		w.Names.SetZone(nameserver.Zone{Origin: "127.in-addr.arpa", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
			{Name: "1.0.0.127.in-addr.arpa", Type: nameserver.PTR, Data: "localhost"},
		}}),
		w.Names.SetZone(nameserver.Zone{Origin: "localhost", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
			{Name: "localhost", Type: nameserver.A, Data: "127.0.0.1"},
		}}),
		w.Names.Start("127.0.0.1:0"))
	if err == nil {
		if w.authority, err = newAuthority(); err == nil {
			err = w.servePolicies()
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the world.
func (w *World) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return errors.Join(w.Names.Stop(ctx), w.policies.server.Close(), w.reserved.Close())
}

// Resolver asks the world's names, or the recursor that was put in front of them.
func (w *World) Resolver() (dns.Resolver, error) {
	if w.Recursor != nil {
		return w.Recursor, nil
	}
	return dns.NewClient(dns.Config{Servers: []string{w.Names.Addr().String()}})
}

// Checker asks what domains publish: the world's resolver, and the servers of
// their zones, which are the same.
func (w *World) Checker() (*zone.Checker, error) {
	client, err := dns.NewClient(dns.Config{Servers: []string{w.Names.Addr().String()}})
	return &zone.Checker{Client: client, Port: w.Names.Addr().Port(), Private: true}, err
}

// Advance moves the clock forward, or back when d is negative, and has every
// server look what has become due.
func (w *World) Advance(d time.Duration) error {
	w.Clock.advance(d)
	w.mu.Lock()
	servers := slices.Clone(w.servers)
	w.mu.Unlock()
	for _, p := range servers {
		if s := p.Server(); s != nil {
			if err := s.Store().Heartbeat(context.Background()); err != nil {
				return err
			}
			s.Queue().Kick()
			s.Reports().Kick()
			s.Directory().KickChecks()
		}
	}
	return nil
}

// address gives a new server its place.
func (w *World) address(p *Postern) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == 255 {
		return "", errors.New("servertest: the world is full")
	}
	w.servers = append(w.servers, p)
	ip := fmt.Sprintf("127.0.77.%d", w.next)
	w.next++
	return ip, nil
}
