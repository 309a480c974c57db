package server

import (
	"context"

	"postern/dns/nameserver"
	"postern/dns/zone"
	"postern/storage"
)

// outsideHost is the mail exchanger of everybody else in the laboratory.
const outsideHost = "mx.outside.test"

// openNames starts the laboratory's name server. It knows every name there is:
// the domain dev.test as its owner would publish it, the outside world, and
// below .invalid nothing (RFC 6761, section 6.4).
func (l *laboratory) openNames() error {
	l.names = nameserver.New()
	ns := []string{"ns." + devDomain}
	world := nameserver.Zone{Origin: ".", Nameservers: ns, Records: []nameserver.Record{
		{Name: outsideHost, Type: nameserver.A, Data: "127.0.0.1"},
	}}
	// RFC 4592, section 3.3.1: as "test" exists, being above a name, "*" does not
	// stand for what is below it.
	for _, all := range []string{"*", "*.test"} {
		world.Records = append(world.Records,
			nameserver.Record{Name: all, Type: nameserver.MX, Data: "10 " + outsideHost},
			nameserver.Record{Name: all, Type: nameserver.A, Data: "127.0.0.1"},
			nameserver.Record{Name: all, Type: nameserver.TXT, Data: "v=spf1 ip4:127.0.0.1 -all"})
	}
	for _, z := range []nameserver.Zone{
		world,
		{Origin: "1.0.0.127.in-addr.arpa", Nameservers: ns, Records: []nameserver.Record{
			{Name: "1.0.0.127.in-addr.arpa", Type: nameserver.PTR, Data: outsideHost},
			{Name: "1.0.0.127.in-addr.arpa", Type: nameserver.PTR, Data: devHost},
		}},
		{Origin: "invalid", Nameservers: ns},
		{Origin: devDomain, Nameservers: ns, Records: []nameserver.Record{
			{Name: devDomain, Type: nameserver.MX, Data: "10 " + devHost},
			{Name: devHost, Type: nameserver.A, Data: "127.0.0.1"},
			{Name: "ns." + devDomain, Type: nameserver.A, Data: "127.0.0.1"},
			// Stricter than a plan begins with: forgeries of the domain are to be seen.
			{Name: "_dmarc." + devDomain, Type: nameserver.TXT, Data: "v=DMARC1; p=reject; rua=mailto:" + storage.ReportsLocal + "@" + devDomain},
		}},
	} {
		if err := l.names.SetZone(z); err != nil {
			return err
		}
	}
	return l.explain(l.names.Start(l.addr(53)))
}

// publish puts into DNS what dev.test should have there, as its owner would. Other
// domains are left to who adds them, so that one sees what is wanted of an owner.
func (l *laboratory) publish(ctx context.Context) error {
	dir := l.server.Directory()
	org, err := dir.Organization(ctx)
	if err != nil {
		return err
	}
	domain, err := dir.Domain(ctx, org.ID, devDomain)
	if err != nil {
		return err
	}
	plan, err := dir.DomainRecords(ctx, domain)
	if err != nil {
		return err
	}
	for _, r := range plan {
		typ, ok := devTypes[r.Type]
		if !ok || r.Purpose == zone.PurposeDMARC {
			continue
		}
		if err := l.names.Replace(r.Name, typ, 0, r.Value); err != nil {
			return err
		}
	}
	return nil
}

// follow publishes anew when something changed, such as a key, until the context is
// done.
func (l *laboratory) follow(ctx context.Context) {
	w := l.server.Store().WatchDomains()
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Hint():
			w.Take()
			if err := l.publish(ctx); err != nil && ctx.Err() == nil {
				l.o.Log.Error("the laboratory's DNS is as it was before", "error", err)
			}
		}
	}
}

// devTypes are the types that a plan has for the laboratory: one record of a name
// and type.
var devTypes = map[string]nameserver.Type{
	"A": nameserver.A, "CNAME": nameserver.CNAME, "MX": nameserver.MX, "SRV": nameserver.SRV, "TXT": nameserver.TXT,
}
