package servertest

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"postern/dns"
)

// UnboundOptions say what a resolver knows.
type UnboundOptions struct {
	// Root is the server of the root zone: the resolver begins there, and goes from
	// delegation to delegation as on the Internet, always to port 53.
	Root netip.AddrPort
	// Stubs are servers of zones that are asked without a walk, at any port. "." is
	// everything else, such as World.Names.
	Stubs map[string]netip.AddrPort
	// Anchors are DNSKEY or DS records that the resolver trusts, as SetSigned
	// returns them. What is below none of them is insecure, not bogus.
	Anchors []string
}

// Recursor is a validating resolver of Debian's unbound.
type Recursor struct {
	// Addr is where it answers, over UDP and TCP.
	Addr netip.AddrPort

	t    testing.TB
	conf string
}

// Unbound starts a resolver, which stops at the test's end.
func Unbound(t testing.TB, o UnboundOptions) *Recursor {
	t.Helper()
	path := tool(t, "unbound", "unbound")
	dir := t.TempDir()
	r := &Recursor{Addr: FreeAddr(t, 0), t: t, conf: filepath.Join(dir, "unbound.conf")}
	for name, text := range map[string]string{"unbound.conf": r.configuration(dir, o), "anchors": strings.Join(o.Anchors, "\n") + "\n",
		"hints": fmt.Sprintf(". 3600 NS ns.\nns. 3600 A %s\n", o.Root.Addr())} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := run(t, path, "-d", "-p", "-c", r.conf)
	p.answers(r.Addr, "localhost", func(*mdns.Msg) bool { return true })
	return r
}

func (r *Recursor) configuration(dir string, o UnboundOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  interface: %s
  port: %d
  access-control: 127.0.0.0/8 allow
  directory: "%[3]s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 1
  num-threads: 1
  do-ip6: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: "%[3]s/anchors"
  qname-minimisation: yes
  use-caps-for-id: yes
  harden-below-nxdomain: yes
  edns-buffer-size: 1232
  infra-host-ttl: 1
  local-zone: "test." nodefault
  local-zone: "invalid." nodefault
  local-zone: "localhost." nodefault
  local-zone: "127.in-addr.arpa." nodefault
`, r.Addr.Addr(), r.Addr.Port(), dir)
	if o.Root.IsValid() {
		fmt.Fprintf(&b, "  root-hints: \"%s/hints\"\n", dir)
	}
	fmt.Fprintf(&b, "remote-control:\n  control-enable: yes\n  control-interface: \"%s/control\"\n  control-use-cert: no\n", dir)
	for zone, addr := range o.Stubs {
		fmt.Fprintf(&b, "stub-zone:\n  name: \"%s\"\n  stub-addr: %s@%d\n", mdns.Fqdn(zone), addr.Addr(), addr.Port())
	}
	return b.String()
}

// Resolver asks it. As it is on loopback, its AD bit counts.
func (r *Recursor) Resolver() dns.Resolver {
	r.t.Helper()
	c, err := dns.NewClient(dns.Config{Servers: []string{r.Addr.String()}})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// Forget empties what it remembers of a name and all below it; "." is everything.
func (r *Recursor) Forget(name string) {
	r.t.Helper()
	output(r.t, filepath.Dir(r.conf), tool(r.t, "unbound-control", "unbound"), "-c", r.conf, "flush_zone", mdns.Fqdn(name))
}
