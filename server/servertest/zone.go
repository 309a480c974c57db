package servertest

import (
	"github.com/rogpeppe/go-internal/testscript"

	"postern/dns/nameserver"
	"postern/dns/zone"
)

// nameTypes are the types of records that the world's names can have.
var nameTypes = map[string]nameserver.Type{
	"A": nameserver.A, "AAAA": nameserver.AAAA, "CNAME": nameserver.CNAME, "MX": nameserver.MX, "PTR": nameserver.PTR,
	"SRV": nameserver.SRV, "TXT": nameserver.TXT,
}

// Publish puts records into the world, as somebody does who keeps a zone by hand:
// each replaces what stands under its name and type. Types that a hand-kept zone of
// the world cannot have are left out.
func (w *World) Publish(records ...zone.Record) error {
	type place struct {
		name string
		typ  nameserver.Type
	}
	data := map[place][]string{}
	for _, r := range records {
		if typ, ok := nameTypes[r.Type]; ok {
			data[place{r.Name, typ}] = append(data[place{r.Name, typ}], r.Value)
		}
	}
	for at, values := range data {
		if at.typ == nameserver.CNAME { // which stands alone
			for _, other := range []nameserver.Type{nameserver.A, nameserver.AAAA} {
				if err := w.Names.Replace(at.name, other, 0); err != nil {
					return err
				}
			}
		}
		if err := w.Names.Replace(at.name, at.typ, 0, values...); err != nil {
			return err
		}
	}
	return nil
}

// zone ORIGIN is an empty zone that somebody keeps by hand.
func (s *script) zone(_ *testscript.TestScript, args []string) error {
	return s.world.Names.SetZone(nameserver.Zone{Origin: args[0], Nameservers: []string{"ns.test"}})
}

// records HOST DOMAIN are all that a domain of a host needs.
func (s *script) records(ts *testscript.TestScript, args []string) error {
	h := s.find(ts, args[0])
	dir := h.Server().Directory()
	domain, err := dir.Domain(s.ctx, h.Org.ID, args[1])
	if err != nil {
		return err
	}
	plan, err := dir.DomainRecords(s.ctx, domain)
	if err != nil {
		return err
	}
	return s.world.Publish(plan...)
}
