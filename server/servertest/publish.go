package servertest

import (
	"context"
	"errors"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/dkim"
	"postern/dns/nameserver"
)

// publisher remembers which records it put into the world's name server.
type publisher struct {
	mu   sync.Mutex
	here map[string]bool // names of records
}

// Publish does what the owner of the domain would: it puts the records of the
// domain's signing keys into the DNS, and takes away those that may go.
func (p *Postern) Publish(ctx context.Context) error {
	dir := p.Server().Directory()
	domain, err := dir.Domain(ctx, p.Org.ID, p.Domain)
	if err != nil {
		return err
	}
	keys, err := dir.DKIMKeys(ctx, p.Org.ID, domain.ID)
	if err != nil {
		return err
	}
	p.published.mu.Lock()
	defer p.published.mu.Unlock()
	records := map[string][]string{}
	for name := range p.published.here {
		records[name] = nil
	}
	p.published.here = map[string]bool{}
	for _, k := range keys {
		if name := dkim.RecordName(k.Selector, p.Domain); k.State.Visible() {
			records[name], p.published.here[name] = []string{k.Record}, true
		}
	}
	for name, data := range records {
		err = errors.Join(err, p.World.Names.Replace(name, nameserver.TXT, 0, data...))
	}
	return err
}

// publish HOST
func (s *script) publish(ts *testscript.TestScript, args []string) error {
	return s.find(ts, args[0]).Publish(s.ctx)
}
