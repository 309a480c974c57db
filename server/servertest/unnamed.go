package servertest

import (
	"context"
	"testing"
	"time"

	"postern/dns"
	"postern/server"
	"postern/server/relay"
)

// NewUnnamed starts a server that nobody has set up, on an empty directory, and returns
// what it printed for who started it. Its certificate is its own: a browser that opens it
// is one whose person went on past the warning. Host is the name that it is to get, which
// leads to it in the world's DNS. It is made anew within the test as set-up wants it, and
// is stopped at the test's end.
func NewUnnamed(t testing.TB, o Options) (p *Postern, printed string) {
	t.Helper()
	o.inWorld(t)
	if o.Domain == "" {
		o.Domain = "alpha.test"
	}
	o.Dir = t.TempDir()
	p = &Postern{World: o.World, Domain: o.Domain, Host: "mail." + o.Domain, judge: Marked, unnamed: true}
	p.log, p.refused = watched(o.Log)
	if err := p.configure(o); err != nil {
		t.Fatal(err)
	}
	p.cfg.Host = ""
	resolver, err := p.World.Resolver()
	if err != nil {
		t.Fatal(err)
	}
	checker, err := p.World.Checker()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	said, born := new(log), make(chan struct{})
	p.stop, p.ended = stop, make(chan error, 1)
	go func() {
		p.ended <- server.Generations(ctx, p.cfg, server.Options{
			Log: p.log, Judge: p.judge, Now: p.World.Clock.Now, Roots: p.World.Roots(), Resolver: dns.NewCache(resolver, p.World.Clock.Now), Names: checker,
			Timeouts: relay.Timeouts{Greeting: patience, Command: patience, DataStart: patience, DataEnd: patience},
		}, func(s *server.Server, first bool) error {
			p.mu.Lock()
			p.server = s
			p.mu.Unlock()
			if !first {
				return nil
			}
			defer close(born)
			return s.Welcome(ctx, said)
		})
	}()
	p.downAfter(t)
	select {
	case <-born:
	case err := <-p.ended:
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("it does not start")
	}
	return p, said.String()
}
