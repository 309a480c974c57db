package servertest

import (
	"context"
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"

	"postern/dns"
	"postern/dns/nameserver"
)

// dig NAME TYPE
func (s *script) dig(ts *testscript.TestScript, args []string) error {
	resolver, err := s.world.Resolver()
	if err != nil {
		return err
	}
	lines, err := lookup(s.ctx, resolver, args[0], args[1])
	if err != nil {
		return err
	}
	for _, l := range lines {
		fmt.Fprintln(ts.Stdout(), l)
	}
	return nil
}

// record NAME TYPE DATA…
func (s *script) record(ts *testscript.TestScript, args []string) error {
	kind, ok := map[string]nameserver.Type{"A": nameserver.A, "MX": nameserver.MX, "TXT": nameserver.TXT}[args[1]]
	if !ok {
		ts.Fatalf("record knows A, MX and TXT, and not %s", args[1])
	}
	return s.world.Names.Replace(args[0], kind, 0, args[2:]...)
}

func lookup(ctx context.Context, r dns.Resolver, name, kind string) (lines []string, err error) {
	switch kind {
	case "MX":
		a, err := r.LookupMX(ctx, name)
		for _, mx := range a.Records {
			lines = append(lines, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
		}
		return lines, err
	case "TXT":
		a, err := r.LookupTXT(ctx, name)
		return a.Records, err
	case "A", "AAAA":
		a, err := r.LookupIP(ctx, name)
		for _, ip := range a.Records {
			if ip.Is4() == (kind == "A") {
				lines = append(lines, ip.String())
			}
		}
		return lines, err
	}
	return nil, fmt.Errorf("dig knows MX, TXT, A and AAAA, and not %s", kind)
}
